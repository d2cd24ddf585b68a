/* What may stand at the end of a line: commands at the beginning of one, variables after a $, paths. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "shell.h"

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bool begins(const char *word, const char *with, size_t length) { return strncmp(word, with, length) == 0; }

static char *joined(const char *a, size_t length, const char *b, const char *c) {
  struct text all = text_in(&scratch);
  text_add(&all, a, length);
  text_append(&all, b);
  text_append(&all, c);
  return all.at;
}

static void add_files(struct list *out, const char *word, bool programs) {
  const char *slash = strrchr(word, '/');
  size_t folder_length = slash == NULL ? 0 : (size_t)(slash - word) + 1;
  const char *name = word + folder_length;
  char *folder = folder_length == 0 ? "." : expand_text(region_text(&scratch, word, folder_length));
  DIR *dir = opendir(folder);
  if (dir == NULL) return;
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    if (!begins(entry->d_name, name, strlen(name)) || (entry->d_name[0] == '.' && *name != '.')) continue;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    struct stat about;
    bool is_folder = stat(joined(folder, strlen(folder), "/", entry->d_name), &about) == 0 && S_ISDIR(about.st_mode);
    if (programs && is_folder) continue;
    list_add(out, joined(word, folder_length, entry->d_name, is_folder ? "/" : ""));
  }
  closedir(dir);
}

static void add_commands(struct list *out, const char *word) {
  size_t length = strlen(word);
  for (const char *const *name = builtin_names(); *name != NULL; name++)
    if (begins(*name, word, length)) list_add(out, (char *)*name);
  const char *folders = variable("PATH");
  while (folders != NULL && *folders != 0) {
    size_t bytes = strcspn(folders, ":");
    DIR *dir = opendir(region_text(&scratch, folders, bytes));
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;)
      if (entry->d_name[0] != '.' && begins(entry->d_name, word, length))
        list_add(out, joined(entry->d_name, strlen(entry->d_name), "", ""));
    if (dir != NULL) closedir(dir);
    folders += bytes + (folders[bytes] == ':');
  }
}

static bool is_command(const char *line, size_t begin) {
  while (begin > 0 && (line[begin - 1] == ' ' || line[begin - 1] == '\t')) begin--;
  if (begin == 0 || strchr("|&;({", line[begin - 1]) != NULL) return true;
  static const char *const before[] = { "then", "do", "else", "if", "while", "!" };
  for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
    size_t length = strlen(before[i]);
    if (begin >= length && strncmp(line + begin - length, before[i], length) == 0 && (begin == length || strchr(" ;\t", line[begin - length - 1])))
      return true;
  }
  return false;
}

struct list completions(const char *line, size_t length, size_t *begin_at) {
  struct list out = list_in(&scratch);
  size_t begin = length;
  while (begin > 0 && strchr(" \t|&;()<>=:", line[begin - 1]) == NULL) begin--;
  char *word = region_text(&scratch, line + begin, length - begin);
  *begin_at = begin;
  if (*word == '$') {
    struct list names = list_in(&scratch);
    for (const char **name = variable_names(&names); *name != NULL; name++)
      if (begins(*name, word + 1, strlen(word) - 1)) list_add(&out, joined("$", 1, *name, ""));
  } else if (strchr(word, '/') == NULL && is_command(line, begin)) add_commands(&out, word);
  else add_files(&out, word, false);
  if (out.count == 0 && strchr(word, '/') != NULL) add_files(&out, word, false);
  qsort(out.at, out.count, sizeof *out.at, by_bytes);
  // Each once.
  size_t kept = 0;
  for (size_t i = 0; i < out.count; i++)
    if (kept == 0 || strcmp(out.at[kept - 1], out.at[i]) != 0) out.at[kept++] = out.at[i];
  out.count = kept;
  out.at[kept] = NULL;
  return out;
}
