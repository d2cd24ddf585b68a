/* missing-import: wants a function that no virtual kernel has; it must be refused by name before it runs. */
#include <stdio.h>

__attribute__((import_module("odonata"), import_name("make_coffee"))) int make_coffee(int cups);

int main(int argc, char **argv) {
  (void)argv;
  printf("%d\n", make_coffee(argc));
  return 0;
}
