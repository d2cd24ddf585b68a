/**
 * Once, in a source file of a program that `wasm-opt --asyncify` goes through: its thread may end while it waits (in a sleep, for its
 * standard input, in odonata_lock, odonata_barrier or odonata_wait), and another one goes on from there.  What is on its
 * stack then has to fit `bytes`, a multiple of 4: some 100 a function that it is in.
 */
#define ODONATA_PARKABLE(bytes)                                                                                       \
  __attribute__((constructor)) static void odonata_parkable(void) {                                                   \
    static uint32_t stack[(bytes) / 4];                                                                               \
    odonata_park_area(stack, sizeof stack);                                                                           \
  }

/** odonata_signal_function() with a function of C. */
static inline int32_t odonata_on_signal(void (*handler)(int32_t signal)) {
  static void (*volatile kept)(int32_t);
  int32_t error = odonata_signal_function((uint32_t)(uintptr_t)handler);
  kept = handler;
  /* Never so; but what optimises a whole program (wasm-opt) empties a function that it sees nobody call. */
  if (error < 0) kept(0);
  return error;
}

/** `bytes` rounded up to whole pages. */
static inline uint64_t odonata_round_up(uint64_t bytes) {
  return (bytes + ODONATA_PAGE - 1) / ODONATA_PAGE * ODONATA_PAGE;
}

/**
 * Grows linear memory by at least `bytes` and gives the new, page-aligned and never touched range; NULL when memory
 * cannot grow so far.  It is never given back: reserve once, map and unmap within.
 */
static inline void *odonata_reserve(uint64_t bytes) {
  const uint64_t wasm_page = 65536;
  uint64_t pages = (bytes + wasm_page - 1) / wasm_page;
  if (pages == 0 || pages > 65535) return NULL;
  size_t before = __builtin_wasm_memory_grow(0, (size_t)pages);
  return before == (size_t)-1 ? NULL : (void *)(before * wasm_page);
}

/**
 * Reserves memory for the whole of an opened dataspace and maps it there: `*addr` gets the first byte.  ENOMEM where
 * linear memory cannot grow so far.
 */
static inline int32_t odonata_ds_map_whole(const struct odonata_dataspace *ds, int32_t prot, void **addr) {
  uint64_t len = odonata_round_up(ds->size_bytes);
  if (len == 0 || len > UINT32_MAX - 65535) return ODONATA_EINVAL;
  void *base = odonata_reserve(len);
  if (base == NULL) return ODONATA_ENOMEM;
  *addr = base;
  return odonata_ds_map(ds->id, base, (uint32_t)len, 0, prot);
}

/**
 * Brings the pages of a mapped range here for writing, in order, without changing a byte.  A plain load and store
 * would fault twice a page (read, then upgrade); to exchange a zero for a zero, where one is there, asks for write access
 * at once.  (An atomic addition does not: V8's baseline code faults for reading first.)  `addr` is aligned to 4 bytes.
 */
static inline void odonata_touch_for_write(void *addr, size_t len) {
  if (len == 0) return;
  unsigned char *last = (unsigned char *)((uintptr_t)addr + ((len - 1) & ~(size_t)3));
  for (unsigned char *at = (unsigned char *)addr;; at = (size_t)(last - at) > ODONATA_PAGE ? at + ODONATA_PAGE : last) {
    uint32_t zero = 0;
    __atomic_compare_exchange_n((uint32_t *)at, &zero, 0, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    if (at == last) break;
  }
}
