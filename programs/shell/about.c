/* Who one is, and what one may have, as programs of other systems ask for it. */
#include <stdbool.h>
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
  bool is_number = false, is_name = false, is_one = false;
  for (char **word = words + 1; *word != NULL; word++) {
    const char *at = *word;
    if (*at++ != '-' || *at == '\0') return complain("usage: id [-u|-g|-G] [-n]"), 2;
    for (; *at != '\0'; at++) {
      if (*at == 'n') is_name = true;
      else if (*at == 'u' || *at == 'g' || *at == 'G') is_one = true;
      else if (*at == 'r') is_number = true;
      else return complain("usage: id [-u|-g|-G] [-n]"), 2;
    }
  }
  if ((is_name || is_number) && !is_one) return complain("usage: id [-u|-g|-G] [-n]"), 2;
  char line[512];
  if (!is_one) snprintf(line, sizeof line, "uid=0(%s) gid=0(%s) groups=0(%s)\n", user(), user(), user());
  else snprintf(line, sizeof line, "%s\n", is_name ? user() : "0");
  say(line);
  return 0;
}

#define OPEN_FILES "1024"

/** Of limits that other systems have, and that are not of a single program here. */
static const char others[] = "cdefilmpqrstuvx";

int builtin_ulimit(char **words) {
  char kind = 'f';
  bool is_all = false;
  const char *wanted = NULL;
  for (char **word = words + 1; *word != NULL; word++) {
    const char *at = *word;
    if (*at != '-') {
      wanted = at;
      continue;
    }
    for (at++; *at != '\0'; at++) {
      if (*at == 'a') is_all = true;
      else if (*at == 'n' || strchr(others, *at) != NULL) kind = *at;
      else if (*at != 'H' && *at != 'S') return complain("ulimit: -%c: there is no such limit", *at), 2;
    }
  }
  const char *is = kind == 'n' ? OPEN_FILES : "unlimited";
  if (is_all) return say("open files (-n) " OPEN_FILES "\n"), 0;
  if (wanted == NULL) return say(is), say("\n"), 0;
  // No file is made when a program dies.
  if (kind == 'c' || strcmp(wanted, is) == 0) return 0;
  return complain("ulimit: what programs may have is said of their virtual kernel: vkctl vkernel set"), 1;
}
