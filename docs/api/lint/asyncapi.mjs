// Holds a document against AsyncAPI's own parser: `node asyncapi.mjs FILE`.
import { readFile } from "node:fs/promises";
import { Parser } from "@asyncapi/parser";

const [file] = process.argv.slice(2);
const { document, diagnostics } = await new Parser().parse(await readFile(file, "utf8"));
for (const { code, path, message } of diagnostics) {
  console.error(`${file}: ${path.join(".")}: ${message} (${code})`);
}
if (!document || diagnostics.length > 0) {
  process.exit(1);
}
console.log(`${file}: valid`);
