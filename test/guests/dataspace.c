/*
 * dataspace: the calls that make and map dataspaces, and every way to get them wrong.
 *
 *   dataspace NAME open SIZE FLAGS      {"errno","size_bytes"}; FLAGS: 0, 1 CREATE, 3 CREATE | EXCLUSIVE
 *   dataspace NAME stat                 {"errno","size_bytes","pages"}
 *   dataspace NAME map                  creates 16 pages and runs through the rules of mapping, one JSON field a rule;
 *                                       the exit code is 1 if any of them is broken
 *   dataspace - ids                     {"node","vkernel","pid"}
 */
#include "guest.h"

static bool failed = false;

static void check(const char *rule, bool holds) {
  printf(",\"%s\":%s", rule, holds ? "true" : "false");
  if (!holds) failed = true;
}

static int check_mapping(const char *name) {
  const uint32_t length = 16 * ODONATA_PAGE;
  struct odonata_dataspace ds;
  must(odonata_ds_open(name, (uint32_t)strlen(name), length, ODONATA_OPEN_CREATE, &ds), "ds_open");
  unsigned char *one = odonata_reserve(length), *two = odonata_reserve(length);
  if (one == NULL || two == NULL) die(EXIT_CALL, "memory cannot grow");
  volatile uint32_t *a = (volatile uint32_t *)one, *b = (volatile uint32_t *)two;
  printf("{\"size_bytes\":%" PRIu64, ds.size_bytes);
  check("unaligned address is EINVAL", odonata_ds_map(ds.id, one + 1, length, 0, 3) == ODONATA_EINVAL);
  check("unaligned length is EINVAL", odonata_ds_map(ds.id, one, length - 1, 0, 3) == ODONATA_EINVAL);
  check("unaligned offset is EINVAL", odonata_ds_map(ds.id, one, ODONATA_PAGE, 1, 3) == ODONATA_EINVAL);
  check("empty length is EINVAL", odonata_ds_map(ds.id, one, 0, 0, 3) == ODONATA_EINVAL);
  check("beyond the dataspace is EINVAL", odonata_ds_map(ds.id, one, length, ODONATA_PAGE, 3) == ODONATA_EINVAL);
  check("beyond memory is EINVAL",
        odonata_ds_map(ds.id, (void *)(__builtin_wasm_memory_size(0) * 65536 - 4096), length, 0, 3) == ODONATA_EINVAL);
  check("unknown protection is EINVAL", odonata_ds_map(ds.id, one, length, 0, 8) == ODONATA_EINVAL);
  check("unknown id is refused", odonata_ds_map(ds.id + 1000, one, length, 0, 3) != 0);
  a[0] = 11;
  must(odonata_ds_map(ds.id, one, length, 0, ODONATA_READ_WRITE), "ds_map");
  check("private bytes are gone under a mapping", a[0] == 0);
  a[0] = 1;
  a[1024] = 2;
  must(odonata_ds_map(ds.id, two, length, 0, ODONATA_READ), "ds_map");
  check("two mappings show the same bytes", b[0] == 1 && b[1024] == 2);
  a[2] = 3;
  check("a store through one is seen through the other", b[2] == 3);
  must(odonata_ds_unmap(two, length), "ds_unmap");
  check("unmapped memory is zero", b[0] == 0 && b[1024] == 0);
  b[0] = 77;
  check("unmapped memory is private", a[0] == 1 && b[0] == 77);
  must(odonata_ds_map(ds.id, two, ODONATA_PAGE, ODONATA_PAGE, ODONATA_READ_WRITE), "ds_map");
  check("an offset maps the later page", b[0] == 2);
  must(odonata_ds_map(ds.id, two, ODONATA_PAGE, 0, ODONATA_READ_WRITE), "ds_map");
  check("mapping over a mapping replaces it", b[0] == 1);
  must(odonata_ds_unmap(one, ODONATA_PAGE), "ds_unmap");
  check("part of a mapping can be unmapped", a[0] == 0 && a[1024] == 2);
  must(odonata_ds_map(ds.id, one, ODONATA_PAGE, 0, ODONATA_READ_WRITE), "ds_map");
  check("what was written stays in the dataspace", a[0] == 1 && a[2] == 3);
  const char *name_of_range = "the first page of them, with a name of sixty-four bytes: and no more";
  check("a range has a name of 64 bytes", odonata_name_range(ds.id, 0, ODONATA_PAGE, name_of_range, 64) == 0);
  check("a longer one is ENAMETOOLONG",
        odonata_name_range(ds.id, 0, ODONATA_PAGE, name_of_range, 65) == 37);
  check("a name with a line in it is EINVAL", odonata_name_range(ds.id, 0, ODONATA_PAGE, "a\nb", 3) == ODONATA_EINVAL);
  check("a name that is no text is EILSEQ", odonata_name_range(ds.id, 0, ODONATA_PAGE, "\xff", 1) == 25);
  check("the name of no byte is EINVAL", odonata_name_range(ds.id, 5, 0, "none", 4) == ODONATA_EINVAL);
  check("a range past the end is EINVAL", odonata_name_range(ds.id, length - 1, 2, "past", 4) == ODONATA_EINVAL);
  check("a range of what is not open is EBADF", odonata_name_range(ds.id + 1000, 0, 1, "x", 1) == ODONATA_EBADF);
  int32_t named = 0;
  for (uint64_t at = 1; at <= 1024 && named == 0; at++) named = odonata_name_range(ds.id, at, 1, "one", 3);
  check("names are bounded", named == ODONATA_ENOMEM);
  check("a name is taken away", odonata_name_range(ds.id, 1, 1, "", 0) == 0);
  check("and another one has its place", odonata_name_range(ds.id, 5000, 1, "two", 3) == 0);
  printf("}\n");
  return failed ? EXIT_CHECK : 0;
}

int main(int argc, char **argv) {
  if (argc < 3) die(EXIT_USAGE, "usage: dataspace NAME open SIZE FLAGS | stat | map, or dataspace - ids");
  const char *name = argv[1], *call = argv[2];
  struct odonata_dataspace ds = {0, 0};
  if (strcmp(call, "ids") == 0) {
    printf("{\"node\":%d,\"vkernel\":%d,\"pid\":%" PRId64 "}\n", (int)odonata_node_id(), (int)odonata_vkernel_id(),
           odonata_process_id());
  } else if (strcmp(call, "open") == 0 && argc == 5) {
    int32_t result = odonata_ds_open(name, (uint32_t)strlen(name), number(argv[3], "SIZE"),
                                     (int32_t)number(argv[4], "FLAGS"), &ds);
    printf("{\"errno\":%d,\"size_bytes\":%" PRIu64 "}\n", (int)result, ds.size_bytes);
  } else if (strcmp(call, "stat") == 0) {
    struct odonata_stat stat = {0, 0};
    int32_t result = odonata_ds_open(name, (uint32_t)strlen(name), 0, 0, &ds);
    if (result == 0) result = odonata_ds_stat(ds.id, &stat);
    printf("{\"errno\":%d,\"size_bytes\":%" PRIu64 ",\"pages\":%" PRIu64 "}\n", (int)result, stat.size_bytes,
           stat.pages);
  } else if (strcmp(call, "map") == 0) {
    return check_mapping(name);
  } else {
    die(EXIT_USAGE, "dataspace: unknown call %s, or wrong number of arguments", call);
  }
  return 0;
}
