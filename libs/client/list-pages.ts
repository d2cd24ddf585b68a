// Lists come in pages.

/** The pages of a list, one after another. */
export async function* pagesOf<R extends { nextPageToken: string }>(
  fetch: (pageToken: string) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  let pageToken = '';
  do {
    const page = await fetch(pageToken);
    yield page;
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
}

/** Every item of a list. */
export async function allPages<R extends { nextPageToken: string }, T>(
  fetch: (pageToken: string) => Promise<R>,
  items: (response: R) => T[],
): Promise<T[]> {
  const all: T[] = [];
  for await (const page of pagesOf(fetch)) all.push(...items(page));
  return all;
}
