/* read: a line of standard input into variables; getopts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "shell.h"

/** What was behind a backslash is not split: it has a mark. */
static bool read_line(struct text *line, struct text *marks, bool raw) {
  for (;;) {
    char c;
    // Not one byte more than the line: what follows is somebody else's.
    ssize_t length = read(0, &c, 1);
    if (length < 0 && errno == EINTR && !shell.interrupted) continue;
    if (length <= 0) return false;
    bool escaped = c == '\\' && !raw;
    if (escaped && read(0, &c, 1) <= 0) return false;
    if (c == '\n') {
      if (escaped) continue;
      return true;
    }
    if (c == 0) continue;
    text_put(line, c);
    text_put(marks, escaped ? 'e' : ' ');
  }
}

int builtin_read(char **words) {
  bool raw = false;
  for (words++; *words != NULL && **words == '-'; words++) {
    if (strcmp(*words, "-r") == 0) raw = true;
    else if (strcmp(*words, "-p") == 0 && words[1] != NULL) {
      dprintf(2, "%s", words[1]);
      words++;
    } else return complain("read: %s: is no option: read [-r] [-p PROMPT] NAME...", *words), 2;
  }
  static char *reply[] = { "REPLY", NULL };
  if (*words == NULL) words = reply;
  for (char **name = words; *name != NULL; name++)
    if (!is_name(*name, strlen(*name))) return complain("read: %s: is no name of a variable", *name), 2;
  struct text line = text_in(&scratch), marks = text_in(&scratch);
  bool whole = read_line(&line, &marks, raw);
  const char *ifs = variable("IFS");
  if (ifs == NULL) ifs = " \t\n";
  size_t at = 0;
#define SPLITS(i) (marks.at[i] != 'e' && strchr(ifs, line.at[i]) != NULL)
#define SPACE(i) (SPLITS(i) && strchr(" \t\n", line.at[i]) != NULL)
  while (at < line.length && SPACE(at)) at++;
  for (; *words != NULL; words++) {
    size_t begin = at, end;
    if (words[1] == NULL) {
      end = line.length;
      while (end > begin && SPACE(end - 1)) end--;
      // One word and its separator are one word.
      size_t first = begin;
      while (first < end && !SPLITS(first)) first++;
      if (first + 1 == end && !SPACE(first)) end = first;
    } else {
      while (at < line.length && !SPLITS(at)) at++;
      end = at;
      while (at < line.length && SPACE(at)) at++;
      if (at < line.length && SPLITS(at)) at++;
      while (at < line.length && SPACE(at)) at++;
    }
    set_variable(*words, region_text(&scratch, line.at + begin, end - begin));
  }
  return whole ? 0 : 1;
}

/** As POSIX has it; where in a word of several options it is stands in `within`. */
int builtin_getopts(char **words) {
  static int within = 1, last;
  if (words[1] == NULL || words[2] == NULL) return complain("usage: getopts OPTIONS NAME [ARGUMENT...]"), 2;
  const char *options = words[1], *index_text = variable("OPTIND");
  char **arguments = words[3] != NULL ? words + 3 : shell.arguments;
  int count = shell.argument_count, index = index_text == NULL ? 1 : atoi(index_text);
  if (words[3] != NULL)
    for (count = 0; arguments[count] != NULL;) count++;
  if (index != last) within = 1;
  bool quiet = *options == ':';
  char option[2] = "?", digits[16];
  int status = 0;
  unset_variable("OPTARG");
  const char *word = index >= 1 && index <= count ? arguments[index - 1] : NULL;
  if (word == NULL || word[0] != '-' || word[1] == 0) status = 1;
  else if (strcmp(word, "--") == 0) {
    status = 1;
    index++;
  } else {
    option[0] = word[within];
    const char *found = option[0] == ':' ? NULL : strchr(options, option[0]);
    bool is_last = word[within + 1] == 0;
    if (found == NULL) {
      if (quiet) set_variable("OPTARG", option);
      else complain("-%s: is no option", option);
      option[0] = '?';
    } else if (found[1] == ':') {
      if (!is_last) set_variable("OPTARG", word + within + 1);
      else if (index < count) set_variable("OPTARG", arguments[index++]);
      else {
        if (quiet) set_variable("OPTARG", option);
        else complain("-%s: its argument is missing", option);
        option[0] = quiet ? ':' : '?';
      }
      is_last = true;
    }
    within = is_last ? 1 : within + 1;
    if (is_last) index++;
  }
  last = index;
  snprintf(digits, sizeof digits, "%d", index);
  set_variable("OPTIND", digits);
  set_variable(words[2], option);
  return status;
}
