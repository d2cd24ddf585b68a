/* Functions, by name. */
#include <stdlib.h>
#include <string.h>
#include "shell.h"

struct function {
  char *name;
  struct node *body;
  struct function *next;
};
static struct function *functions;

static struct function *find(const char *name) {
  for (struct function *each = functions; each != NULL; each = each->next)
    if (strcmp(each->name, name) == 0) return each;
  return NULL;
}

struct node *function_named(const char *name) {
  struct function *found = find(name);
  return found == NULL ? NULL : found->body;
}

void define_function(const char *name, struct node *body) {
  struct function *found = find(name);
  if (found == NULL) {
    found = calloc(1, sizeof *found);
    found->name = strdup(name);
    found->next = functions;
    functions = found;
  }
  found->body = body;
}

void remove_function(const char *name) {
  struct function *found = find(name);
  if (found != NULL) found->body = NULL;
}

void print_functions(struct text *out) {
  for (struct function *each = functions; each != NULL; each = each->next) {
    if (each->body == NULL) continue;
    struct node node = { .kind = FUNCTION, .name = each->name, .first = each->body };
    print_node(out, &node);
    text_put(out, '\n');
  }
}
