// Print the shape of a program - its subcommands, their other names, the options of each and
// whether an option takes a value - as a draft of an entry for facts/data/programs.
//
//   npm pack @withfig/autocomplete && tar xzf withfig-autocomplete-*.tgz
//   node tools/program-shapes.mjs package PROGRAM [SUBCOMMAND ...]
//
// The shapes are facts of the package @withfig/autocomplete (MIT licence, see NOTICE). They say
// nothing about what an option does: each line is a draft, `unjudged`, until somebody has read what
// the options do, moved those with an effect to `options`, and left out those that are not sure.
// This tool judges nothing, and nothing runs it: its output is copied into the tables by hand.

import { pathToFileURL } from "node:url";
import { resolve } from "node:path";

const [folder, program, ...path] = process.argv.slice(2);
if (!program) {
  console.error("usage: node tools/program-shapes.mjs PACKAGE-FOLDER PROGRAM [SUBCOMMAND ...]");
  process.exit(2);
}

const list = (value) => (value === undefined ? [] : Array.isArray(value) ? value : [value]);

async function specOf(name) {
  const file = resolve(folder, "build", `${name}.js`);
  const module = await import(pathToFileURL(file).href);
  return typeof module.default === "function" ? module.default() : module.default;
}

function takesValue(option) {
  return list(option.args).some((arg) => !arg.isOptional);
}

async function print(spec, names, indent) {
  const loaded = typeof spec.loadSpec === "string" ? await specOf(spec.loadSpec) : spec;
  const options = list(loaded.options);
  const words = (wanted) =>
    options
      .filter((option) => takesValue(option) === wanted)
      .flatMap((option) => list(option.name))
      .join(" ");
  const pad = "  ".repeat(indent);
  console.log(`${pad}${names.join(" = ")}:  # unjudged`);
  if (words(false)) console.log(`${pad}  plain_options: '${words(false)}'`);
  if (words(true)) console.log(`${pad}  value_options: '${words(true)}'`);
  if (list(loaded.args).length) console.log(`${pad}  words: any`);
  const below = list(loaded.subcommands);
  if (below.length) console.log(`${pad}  subcommands:`);
  for (const sub of below) await print(sub, list(sub.name), indent + 2);
}

let spec = await specOf(program);
for (const name of path) {
  spec = list(spec.subcommands).find((sub) => list(sub.name).includes(name));
  if (!spec) {
    console.error(`${program}: no subcommand ${name}`);
    process.exit(1);
  }
}
await print(spec, [program, ...path].slice(-1), 0);
