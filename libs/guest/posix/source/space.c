/* Ranges of linear memory: first fit among those given back, else memory grows. Ranges that touch become one. */
#include "space.h"
#include <odonata.h>

#define FREE_MAX 1024

static struct {
  uintptr_t address;
  uint64_t bytes;
} spare[FREE_MAX];
static int spares;

static void remove_spare(int at) {
  spares--;
  for (; at < spares; at++) spare[at] = spare[at + 1];
}

/** What finds no room in the table is lost to this process: zeros that nobody uses take no frame. */
static void keep(uintptr_t address, uint64_t bytes) {
  for (int i = spares - 1; i >= 0; i--) {
    if (spare[i].address + spare[i].bytes == address) {
      address = spare[i].address;
      bytes += spare[i].bytes;
      remove_spare(i);
    } else if (address + bytes == spare[i].address) {
      bytes += spare[i].bytes;
      remove_spare(i);
    }
  }
  if (spares == FREE_MAX) return;
  spare[spares].address = address;
  spare[spares++].bytes = bytes;
}

void *space_take(uint64_t wanted) {
  uint64_t bytes = odonata_round_up(wanted);
  if (bytes == 0) return NULL;
  for (int i = 0; i < spares; i++) {
    if (spare[i].bytes < bytes) continue;
    uintptr_t address = spare[i].address;
    spare[i].address += bytes;
    spare[i].bytes -= bytes;
    if (spare[i].bytes == 0) remove_spare(i);
    return (void *)address;
  }
  void *grown = odonata_reserve(bytes);
  if (grown == NULL) return NULL;
  uint64_t grown_bytes = (bytes + 65535) / 65536 * 65536;
  if (grown_bytes > bytes) keep((uintptr_t)grown + bytes, grown_bytes - bytes);
  return grown;
}

void space_give(void *address, uint64_t bytes) {
  bytes = odonata_round_up(bytes);
  if (odonata_ds_unmap(address, (uint32_t)bytes) == 0) keep((uintptr_t)address, bytes);
}
