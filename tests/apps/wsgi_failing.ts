/** A module that fails while it is imported. */
const table: Record<string, { readonly rows: number }> = {};

export default table["missing"]!.rows;
