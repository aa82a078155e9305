// Times as the classic generation writes them: text in China Standard Time, which is UTC+8 all year
// [I] (classic.md, section 4).

const CHINA_OFFSET_MS = 8 * 3600 * 1000

/** `YYYY-MM-DD HH:MM:SS mmm`. */
export function chinaTime(timeMs: number): string {
  const iso = new Date(timeMs + CHINA_OFFSET_MS).toISOString()
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} ${iso.slice(20, 23)}`
}

/**
 * `YYYY-M-D H.M.S`, the stamp in the name of a file whose name was taken (classic.md, "Names that
 * clash").
 */
export function clashStamp(timeMs: number): string {
  const d = new Date(timeMs + CHINA_OFFSET_MS)
  const day = `${d.getUTCFullYear()}-${d.getUTCMonth() + 1}-${d.getUTCDate()}`
  return `${day} ${d.getUTCHours()}.${d.getUTCMinutes()}.${d.getUTCSeconds()}`
}
