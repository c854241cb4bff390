/* Criterion's own process sometimes leaks 48 bytes a test worker (libcriterion 2.4.1), which LeakSanitizer would report
 * as a fault of ours. Tests run in worker processes, where leaks are looked for as ever. */
#include <errno.h>
#include <string.h>

int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return strcmp(program_invocation_short_name, "boxfort-worker") != 0;
}
