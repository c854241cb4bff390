/* The program: `meros COMMAND …`. app_main parses the arguments, runs the command and returns the exit code. */
#ifndef MEROS_APP_APP_H
#define MEROS_APP_APP_H

int app_main(int argc, char **argv);

#endif
