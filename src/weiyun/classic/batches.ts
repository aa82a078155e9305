// Cutting a list into batches that the service takes.

/**
 * A POST carries its JSON in the query as well, and servers commonly take request lines of 8 KiB. What is
 * left below that is for the rest of the line.
 */
const QUERY_BYTES_MAX = 6 * 1024

/** Batches of at most `itemsMax` items that also fit into a query; a large item goes alone. */
export function batches<T>(
  items: readonly T[],
  itemsMax: number,
  toJson: (item: T) => string,
): T[][] {
  const cut: T[][] = []
  let bytes = Infinity
  for (const item of items) {
    const itemBytes = encodeURIComponent(`${toJson(item)},`).length
    bytes += itemBytes
    const last = cut.at(-1)
    if (last === undefined || last.length === itemsMax || bytes > QUERY_BYTES_MAX) {
      cut.push([item])
      bytes = itemBytes
    } else last.push(item)
  }
  return cut
}
