/* Patterns of paths: *, ? and [ ], each between slashes; a dot at the beginning of a name is matched by a dot alone. */
#include <dirent.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "shell.h"

bool matches(const char *pattern, const char *text) { return fnmatch(pattern, text, 0) == 0; }

bool has_pattern(const char *word) {
  for (; *word != 0; word++) {
    if (*word == '\\' && word[1] != 0) word++;
    else if (*word == '*' || *word == '?' || (*word == '[' && strchr(word, ']') != NULL)) return true;
  }
  return false;
}

char *without_quotes(const char *pattern) {
  struct text out = text_in(&scratch);
  for (; *pattern != 0; pattern++) {
    if (*pattern == '\\' && pattern[1] != 0) pattern++;
    text_put(&out, *pattern);
  }
  return out.at;
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static char *path_of(const char *folder, const char *name, size_t length) {
  struct text path = text_in(&scratch);
  text_append(&path, folder);
  text_add(&path, name, length);
  return path.at;
}

/** @param folder with its slash, or empty */
static void walk(struct list *out, const char *folder, const char *pattern) {
  size_t slashes = strspn(pattern, "/");
  if (slashes > 0) folder = path_of(folder, pattern, slashes);
  pattern += slashes;
  if (*pattern == 0) {
    if (access(*folder == 0 ? "." : folder, F_OK) == 0) list_add(out, (char *)folder);
    return;
  }
  size_t length = strcspn(pattern, "/");
  char *part = region_text(&scratch, pattern, length);
  bool is_last = pattern[length] == 0;
  if (!has_pattern(part)) {
    char *path = path_of(folder, without_quotes(part), strlen(without_quotes(part)));
    if (!is_last) walk(out, path, pattern + length);
    else if (access(path, F_OK) == 0) list_add(out, path);
    return;
  }
  DIR *dir = opendir(*folder == 0 ? "." : folder);
  if (dir == NULL) return;
  struct list names = list_in(&scratch);
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
    if ((entry->d_name[0] != '.' || part[0] == '.') && matches(part, entry->d_name))
      list_add(&names, region_text(&scratch, entry->d_name, strlen(entry->d_name)));
  closedir(dir);
  for (char **name = names.at; *name != NULL; name++) {
    char *path = path_of(folder, *name, strlen(*name));
    if (is_last) list_add(out, path);
    else walk(out, path, pattern + length);
  }
}

void add_paths(struct list *out, const char *pattern) {
  size_t before = out->count;
  walk(out, "", pattern);
  if (out->count == before) list_add(out, without_quotes(pattern));
  else qsort(out->at + before, out->count - before, sizeof *out->at, by_bytes);
}
