// Objects of custom resources against what npm has of their schemas, and expressions against PromQL's grammar.
// Reads {documents, expressions} from standard input, writes {invalid: [...], unparsable: [...]}.
// Types by the TypeScript compiler, which refuses members that a type does not have; formats and enumerations by ajv.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const place = process.argv[2];
const modules = join(place, "node_modules");
const load = (path) => import(pathToFileURL(join(modules, path)));
const ts = createRequire(join(place, "package.json"))("typescript");
const { parser } = await load("@prometheus-io/lezer-promql/dist/index.es.js");

const MODELS = {
  ServiceMonitor: "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor.js",
  PrometheusRule: "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule.js",
  HTTPRoute: "@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1/HTTPRoute.js",
};

const { documents, expressions } = JSON.parse(readFileSync(0, "utf8"));
const invalid = [];
const of_ours = documents.filter((document) => document.kind in MODELS);

for (const document of of_ours) {
  const model = (await load(MODELS[document.kind]))[document.kind];
  const name = `${document.kind} ${document.metadata.name}`;
  if (!document.apiVersion || document.apiVersion !== model.apiVersion) invalid.push(`${name}: apiVersion`);
  try {
    new model(document).validate();
  } catch (error) {
    invalid.push(`${name}: ${error.message}`);
  }
}

// In the folder of the modules, so that their types are found.
const folder = mkdtempSync(join(place, "types-"));
try {
  const file = join(folder, "documents.ts");
  const lines = of_ours.map((document, n) => {
    const path = `../node_modules/${MODELS[document.kind]}`;
    return `export const d${n}: import("${path}").I${document.kind} = ${JSON.stringify(document)};`;
  });
  writeFileSync(file, lines.join("\n") + "\nexport {};\n");
  const program = ts.createProgram([file], {
    noEmit: true,
    strict: true,
    skipLibCheck: true,
    types: [],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    target: ts.ScriptTarget.ESNext,
  });
  for (const found of ts.getPreEmitDiagnostics(program)) {
    const line = found.file?.getLineAndCharacterOfPosition(found.start).line ?? 0;
    const document = of_ours[line];
    const text = ts.flattenDiagnosticMessageText(found.messageText, " ");
    invalid.push(`${document?.kind} ${document?.metadata.name}: ${text.slice(0, 400)}`);
  }
} finally {
  rmSync(folder, { recursive: true });
}

const unparsable = expressions.filter((expression) => {
  let bad = false;
  parser.parse(expression).iterate({ enter: (node) => void (bad ||= node.type.isError) });
  return bad;
});

process.stdout.write(JSON.stringify({ invalid, unparsable }));
