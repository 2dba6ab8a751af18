// The measuring tool: that it runs. What it measures is for people to judge.

import { assertEquals, assertMatch } from "jsr:@std/assert@1";
import { path, programTest, textOf } from "./helpers.ts";

programTest(
  "the bench measures every script, and another program beside it",
  async () => {
    const bench = path("tests/bench.ts").pathname;
    const theirs = `${Deno.execPath()} run --allow-net ${
      path("clock2.ts").pathname
    }`;
    const lines = await Promise.all([
      linesOf(bench, "--quick"),
      linesOf(bench, "clock2", "--quick", "--against", theirs),
    ]);
    const rows = lines.flat().filter((line) => line.includes(" ours "));
    for (const row of rows) {
      assertMatch(
        row,
        / +\d+\.\d\d +[\d,]+ (lines|MB) +\d+ /,
      );
    }
    const measured = rows.map((row) => row.split(":")[0]);
    assertEquals(
      new Set(measured),
      new Set(["reverb2", "clock2", "netcat1", "netcat2"]),
    );
    assertEquals(
      lines[1].filter((line) => line.includes(" theirs ")).length,
      1,
    );
  },
);

/** What a run of the bench prints. */
async function linesOf(bench: string, ...args: string[]): Promise<string[]> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", bench, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  assertEquals(code, 0);
  return textOf(stdout).split("\n");
}
