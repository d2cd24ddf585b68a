/* Ranges of linear memory for mappings, in pages. */
#ifndef SPACE_H
#define SPACE_H
#include <stdint.h>

/** `bytes`, in whole pages, of zeros; NULL where memory cannot grow. */
void *space_take(uint64_t bytes);

/** Gives back what `space_take` gave, or a part of it: what is mapped there ends, and its frames are free. */
void space_give(void *address, uint64_t bytes);
#endif
