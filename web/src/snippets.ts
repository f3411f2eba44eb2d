// The call this page makes, as one would write it oneself.
export type Call = { method: string; path: string; body?: Record<string, unknown> };

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

export function asCurl({ method, path, body }: Call): string {
  const lines = [`curl -X ${method} ${quoted(location.origin + path)}`, `  -H "x-api-key: $LIPSMITH_API_KEY"`];
  if (body) lines.push(`  -H 'content-type: application/json'`, `  -d ${quoted(JSON.stringify(body))}`);
  return lines.join(" \\\n");
}

function python(value: unknown, indent = ""): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map((entry) => python(entry, indent)).join(", ")}]`;
  if (typeof value === "object") {
    const inner = `${indent}    `;
    const rows = Object.entries(value).map(([name, entry]) => `${inner}${JSON.stringify(name)}: ${python(entry, inner)},`);
    return `{\n${rows.join("\n")}\n${indent}}`;
  }
  return JSON.stringify(value);
}

export function asPython({ method, path, body }: Call): string {
  const given = body ? `,\n    json=${python(body, "    ")}` : "";
  return `import os
import httpx

answer = httpx.request(
    ${JSON.stringify(method)},
    ${JSON.stringify(location.origin + path)},
    headers={"x-api-key": os.environ["LIPSMITH_API_KEY"]}${given},
)
print(answer.raise_for_status().json())
`;
}
