// The files of this project.

export const CLOCKS = ["clock1.ts", "clock2.ts"];
export const REVERBS = ["reverb1.ts", "reverb2.ts"];
export const SERVERS = [...CLOCKS, ...REVERBS];
export const CLIENTS = ["netcat1.ts", "netcat2.ts"];
export const SCRIPTS = [...SERVERS, ...CLIENTS];

/** The path of a file of this project. */
export const path = (name: string) =>
  new URL(`../../${name}`, import.meta.url).pathname;

/** The text of a file of this project. */
export const read = (name: string) => Deno.readTextFile(path(name));

/** What is left of the lines of `text` without comments: the code. */
export const codeLines = (text: string) =>
  text.split("\n")
    .filter((line) => !/^\s*(\/\/|\/\*\*|\*|$)/.test(line))
    .map((line) => line.replace(/ +\/\/ .*$/, ""));

/** The declarations of a script that have a name, with their comments. */
export async function declarations(
  script: string,
): Promise<Map<string, string>> {
  // Each begins at the left margin, with its comment.
  const begin = /^(?=\/\*\*|(?<!\*\/\n)[a-z])/m;
  const named =
    /^(?:export |async )*(?:function\*?|const|let|class|type) (\w+)/m;
  const parts = (await read(script)).split(begin)
    .map((part) => [part.match(named)?.[1], part.trim()]);
  return new Map(parts.filter(([name]) => name) as [string, string][]);
}
