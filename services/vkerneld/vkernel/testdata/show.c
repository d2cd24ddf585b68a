// For each argument: what is in that directory, or in that file, or the error.
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    DIR *dir = opendir(argv[i]);
    FILE *file = dir ? NULL : fopen(argv[i], "r");
    char text[100] = {0};
    if (dir) {
      printf("%s:", argv[i]);
      for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.') printf(" %s", entry->d_name);
      printf("\n");
      closedir(dir);
    } else if (file && fgets(text, sizeof text, file)) {
      printf("%s = %s\n", argv[i], text);
    } else {
      printf("%s: %s\n", argv[i], strerror(errno));
    }
  }
  return 0;
}
