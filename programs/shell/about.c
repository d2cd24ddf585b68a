/* Who one is, and what one may have, as programs of other systems ask for it. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "shell.h"

/** As the login said: nothing here is allowed by it. */
static const char *user(void) {
  const char *name = variable("USER");
  return name == NULL || *name == '\0' ? "root" : name;
}

int builtin_whoami(char **words) {
  if (words[1] != NULL) return complain("usage: whoami"), 2;
  say(user());
  say("\n");
  return 0;
}

/** Users have names and no numbers: 0 stands for whose virtual kernel it is. */
int builtin_id(char **words) {
  const char *option = words[1];
  if (option != NULL && (words[2] != NULL || option[0] != '-')) return complain("usage: id [-u|-g|-un|-gn|-G]"), 2;
  char line[512];
  if (option == NULL) snprintf(line, sizeof line, "uid=0(%s) gid=0(%s) groups=0(%s)\n", user(), user(), user());
  else if (strchr(option, 'n') != NULL) snprintf(line, sizeof line, "%s\n", user());
  else snprintf(line, sizeof line, "0\n");
  say(line);
  return 0;
}

#define OPEN_FILES 1024

int builtin_ulimit(char **words) {
  char line[64];
  const char *option = words[1];
  if (option == NULL || strcmp(option, "-f") == 0) return say("unlimited\n"), 0;
  if (words[2] != NULL || option[0] != '-')
    return complain("ulimit: what programs may have is said of their virtual kernel: vkctl vkernel set"), 1;
  if (strcmp(option, "-a") == 0) snprintf(line, sizeof line, "open files (-n) %d\n", OPEN_FILES);
  else if (strcmp(option, "-n") == 0) snprintf(line, sizeof line, "%d\n", OPEN_FILES);
  else return complain("ulimit: %s: only -a, -f and -n are there; cat /proc/vkernels shows the rest", option), 2;
  say(line);
  return 0;
}
