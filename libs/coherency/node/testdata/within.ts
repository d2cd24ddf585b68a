import type { Within } from '../readahead/readahead.ts';

/** All pages before one are mapped. */
export const upTo = (endPage: number): Within => ({ firstPage: 0, endPage });
