/** Rows as CSV (RFC 4180) that a spreadsheet can open without running anything. */

/**
 * @param {unknown[][]} rows
 * @returns {string}
 */
export function toCsv(rows) {
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/**
 * An id as spreadsheets keep it: of a number they keep 15 digits only.
 * @param {string | null} id
 * @returns {{formula: string} | string} a cell for `toCsv`
 */
export function idCell(id) {
  return id !== null && /^\d+$/.test(id) ? { formula: `="${id}"` } : (id ?? "");
}

/** @param {unknown} value */
function cell(value) {
  // Made by idCell only, of digits only.
  const formula = typeof value === "object" && value !== null && "formula" in value;
  const text = formula ? String(value.formula) : String(value ?? "");
  // Spreadsheets take a cell that begins like this for a formula.
  const safe = typeof value === "string" && /^\s*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

/**
 * Hand the reader a file.
 * @param {string} name
 * @param {string} text
 */
export function download(name, text) {
  const link = document.createElement("a");
  // Excel reads UTF-8 only with a byte order mark.
  link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
