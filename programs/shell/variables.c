/* Variables. A table by name; locals of functions are kept aside until their function returns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "shell.h"

#define BUCKETS 256

struct variable {
  char *name, *value;
  bool exported, readonly;
  struct variable *next;
};

static struct variable *table[BUCKETS];

static unsigned bucket_of(const char *name) {
  unsigned hash = 5381;
  for (; *name != 0; name++) hash = hash * 33 + (unsigned char)*name;
  return hash % BUCKETS;
}

static struct variable *find(const char *name) {
  for (struct variable *each = table[bucket_of(name)]; each != NULL; each = each->next)
    if (strcmp(each->name, name) == 0) return each;
  return NULL;
}

static struct variable *find_or_add(const char *name) {
  struct variable *found = find(name);
  if (found != NULL) return found;
  found = calloc(1, sizeof *found);
  found->name = strdup(name);
  found->next = table[bucket_of(name)];
  return table[bucket_of(name)] = found;
}

const char *variable(const char *name) {
  struct variable *found = find(name);
  return found == NULL ? NULL : found->value;
}

static bool may_change(const struct variable *variable) {
  if (!variable->readonly) return true;
  complain("%s: may not be changed: it is readonly", variable->name);
  shell.failed = true;
  return false;
}

bool set_variable(const char *name, const char *value) {
  struct variable *found = find_or_add(name);
  if (!may_change(found)) return false;
  char *copy = strdup(value);
  free(found->value);
  found->value = copy;
  return true;
}

bool export_variable(const char *name, const char *value) {
  if (value != NULL && !set_variable(name, value)) return false;
  find_or_add(name)->exported = true;
  return true;
}

void mark_readonly(const char *name) { find_or_add(name)->readonly = true; }

void unset_variable(const char *name) {
  struct variable *found = find(name);
  if (found == NULL || !may_change(found)) return;
  free(found->value);
  found->value = NULL;
  found->exported = false;
}

bool is_exported(const char *name) {
  struct variable *found = find(name);
  return found != NULL && found->exported;
}

void variables_from(char **environment) {
  for (; *environment != NULL; environment++) {
    size_t length = assignment(*environment);
    if (length == 0) continue;
    char *name = strndup(*environment, length);
    export_variable(name, *environment + length + 1);
    free(name);
  }
  set_variable("IFS", " \t\n");
  if (variable("PATH") == NULL) export_variable("PATH", "/bin");
  if (variable("PS1") == NULL) set_variable("PS1", "$ ");
  if (variable("PS2") == NULL) set_variable("PS2", "> ");
  set_variable("OPTIND", "1");
}

static bool is_assigned(char **assignments, const char *name) {
  size_t length = strlen(name);
  for (; assignments != NULL && *assignments != NULL; assignments++)
    if (strncmp(*assignments, name, length) == 0 && (*assignments)[length] == '=') return true;
  return false;
}

char **environment_with(char **assignments) {
  struct list list = list_in(&scratch);
  for (int i = 0; i < BUCKETS; i++)
    for (struct variable *each = table[i]; each != NULL; each = each->next) {
      if (!each->exported || each->value == NULL || is_assigned(assignments, each->name)) continue;
      struct text text = text_in(&scratch);
      text_append(&text, each->name);
      text_put(&text, '=');
      text_append(&text, each->value);
      list_add(&list, text.at);
    }
  for (; assignments != NULL && *assignments != NULL; assignments++) list_add(&list, *assignments);
  return list.at;
}

static int by_name(const void *a, const void *b) {
  return strcmp((*(struct variable *const *)a)->name, (*(struct variable *const *)b)->name);
}

static size_t sorted(struct variable ***all) {
  size_t count = 0;
  for (int i = 0; i < BUCKETS; i++)
    for (struct variable *each = table[i]; each != NULL; each = each->next) count++;
  *all = region_take(&scratch, (count + 1) * sizeof **all);
  size_t at = 0;
  for (int i = 0; i < BUCKETS; i++)
    for (struct variable *each = table[i]; each != NULL; each = each->next) (*all)[at++] = each;
  qsort(*all, count, sizeof **all, by_name);
  return count;
}

void print_variables(struct text *out, bool exported_only, bool readonly_only, const char *before) {
  struct variable **all;
  size_t count = sorted(&all);
  for (size_t i = 0; i < count; i++) {
    if ((exported_only && !all[i]->exported) || (readonly_only && !all[i]->readonly)) continue;
    if (all[i]->value == NULL && !exported_only && !readonly_only) continue;
    text_append(out, before);
    text_append(out, all[i]->name);
    if (all[i]->value != NULL) {
      text_put(out, '=');
      print_quoted(out, all[i]->value);
    }
    text_put(out, '\n');
  }
}

const char **variable_names(struct list *list) {
  struct variable **all;
  size_t count = sorted(&all);
  for (size_t i = 0; i < count; i++)
    if (all[i]->value != NULL) list_add(list, all[i]->name);
  return (const char **)list->at;
}

void print_state(struct text *out) {
  struct variable **all;
  size_t count = sorted(&all);
  for (size_t i = 0; i < count; i++) {
    struct variable *each = all[i];
    if (each->exported && each->value != NULL && !each->readonly) continue;
    if (each->value != NULL) {
      text_append(out, each->name);
      text_put(out, '=');
      print_quoted(out, each->value);
      text_put(out, '\n');
    }
    if (!each->readonly && !each->exported) continue;
    text_append(out, each->readonly ? "readonly " : "export ");
    text_append(out, each->name);
    text_put(out, '\n');
  }
  print_functions(out);
  if (shell.errexit) text_append(out, "set -e\n");
  if (shell.nounset) text_append(out, "set -u\n");
  if (shell.noglob) text_append(out, "set -f\n");
  if (shell.xtrace) text_append(out, "set -x\n");
}

/* Locals: what the variable was before. */
struct local {
  char *name, *value;
  bool exported;
};
static struct local *locals;
static size_t local_count, local_room;

void save_local(const char *name) {
  struct variable *found = find_or_add(name);
  if (local_count == local_room) {
    local_room = local_room * 2 + 16;
    locals = realloc(locals, local_room * sizeof *locals);
  }
  locals[local_count++] = (struct local){ strdup(name), found->value == NULL ? NULL : strdup(found->value), found->exported };
}

size_t locals_begin(void) { return local_count; }

void locals_end(size_t begin) {
  while (local_count > begin) {
    struct local *local = &locals[--local_count];
    struct variable *found = find_or_add(local->name);
    free(found->value);
    found->value = local->value;
    found->exported = local->exported;
    free(local->name);
  }
}
