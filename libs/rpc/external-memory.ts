// Loaded by processes that pass many bytes on. V8 collects its whole heap each time that some 20 MiB more were allocated outside of it,
// as buffers are: of a router that passes 256 MiB on these were 26 collections, and two thirds of its processor time. Counted together
// with the heap, and against the same limit, they are 10.
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--external-memory-accounted-in-global-limit');
