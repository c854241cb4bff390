/* The real program under test: started on a free port with a folder of its own, watched, stopped by its own pid only.
 *
 * tests/http/main.c starts one instance that all tests share (each test is a process of its own, so its address travels
 * in the environment); a test that restarts, kills, trains or needs other settings starts one for itself:
 *
 *   struct instance s;
 *   instance_start(&s, (const char *const[]){"MEROS_CORS_ORIGINS=https://shop.example", NULL});
 *   client_use(&s);
 *   …
 *   instance_done(&s);        // SIGTERM, must exit 0 with nothing from a sanitizer in its log; removes the folder
 *
 * An instance dies with the process that started it. MEROS_TEST_BINARY names the program (build/asan/meros). Failures
 * fail the running test and show the end of the server's log. */
#ifndef TESTS_SERVICE_H
#define TESTS_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { INSTANCE_ENV_MAX = 24 };

struct instance {
    pid_t pid; /* 0: not running */
    int port;
    char key[64];     /* an admin key */
    char folder[200]; /* holds data/ and log */
    char data[220], log[220];
    long log_from; /* where the log of the present run begins */
    const char *env[INSTANCE_ENV_MAX];
};

void instance_start(struct instance *s, const char *const *env);       /* env: "NAME=value", …, NULL; may be NULL */
void instance_start_unready(struct instance *s, const char *const *env); /* listening, perhaps not ready */
void instance_wait_ready(struct instance *s, double seconds);
void instance_again(struct instance *s); /* after it ended: same folder, same settings, another port */
int instance_stop(struct instance *s);   /* SIGTERM; the exit code (-signal if it died of one) */
int instance_wait(struct instance *s, double seconds); /* for its end, however that was asked for; the exit code */
void instance_kill(struct instance *s);  /* SIGKILL */
void instance_signal(struct instance *s, int signal);
void instance_done(struct instance *s);

/* The folders of all instances of a run lie in one, which goes at its end. */
void instances_begin(void);
void instances_end(void);

/* The instance that all tests share; pid is known, but it is not ours to stop. */
const struct instance *instance_shared(void);
/* Starts a service on a fresh folder, to the end of its migrations, and stops it: every instance_start() from then on takes
 * a copy of that folder and saves the seconds that making a cluster takes. */
void instance_make_template(struct instance *s);
void instance_share(const struct instance *s); /* makes it known to child processes */

pid_t instance_postmaster(const struct instance *s); /* of its embedded PostgreSQL; 0 if there is none */
void instance_signal_database(const struct instance *s, int signal); /* the postmaster and all of its children */
long instance_rss_kb(const struct instance *s);      /* resident memory */
/* The log of this run, from byte `from` of it on; free() it. */
char *instance_log(const struct instance *s, long from);
bool instance_logged(const struct instance *s, const char *text);
void instance_await_log(const struct instance *s, const char *text, double seconds); /* fails the test if it does not come */
void instance_show_log(const struct instance *s, long from, long most);

/* Runs `meros ARGUMENTS…` to its end with the instance's settings; standard output goes to out. The exit code. */
int instance_command(const struct instance *s, const char *const *arguments, char *out, size_t cap);

double seconds_now(void); /* monotonic */
void pause_ms(int ms);    /* between two looks at something awaited, never instead of looking */

#endif
