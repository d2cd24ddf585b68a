// What a program hears of pages that it does not get.
import { isBorrowed } from '../../gateway.ts';

/** @param name of a dataspace of which a page is LOST */
export const whyLost = (name: string): string =>
  isBorrowed(name)
    ? `a page of dataspace ${name} is lost: its only copy is gone, with its node or a gateway`
    : `a page of dataspace ${name} is lost: its only copy is gone, with its node or the gateway of another cluster`;

/** @param name of a dataspace of another cluster, which has a page that is not here any more */
export const whyWithdrawn = (name: string): string =>
  `a page of dataspace ${name} is not here any more: its cluster took it back, or a gateway ended; it is not lost there`;

/** @param name of a dataspace that the directory does not know any more */
export const whyRemoved = (name: string): string =>
  isBorrowed(name)
    ? `dataspace ${name} is not here any more: its cluster took it back, or a gateway ended`
    : `dataspace ${name} was removed`;
