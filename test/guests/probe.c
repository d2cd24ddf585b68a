/* A check of health: probe FILE is well where that is there. */
#include <unistd.h>

int main(int argc, char **argv) { return argc > 1 && access(argv[1], F_OK) == 0 ? 0 : 1; }
