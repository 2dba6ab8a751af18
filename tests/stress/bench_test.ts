// The measuring tool: that it runs. What it measures is for people to judge.

import { assert, assertEquals, assertMatch } from "jsr:@std/assert@1";
import { reasonNotToListen } from "../support/client.ts";
import { path } from "../support/files.ts";
import { PROGRAM } from "../support/process.ts";
import { test } from "../support/testing.ts";
import { textOf } from "../support/text.ts";

/** Runs the bench with `args`. */
async function bench(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "bench", ...args],
    cwd: path(""),
    env: { NO_COLOR: "1" },
  }).output();
  return { code, stdout: textOf(stdout), stderr: textOf(stderr) };
}

test(
  "the bench measures every script, and another program beside it",
  PROGRAM,
  async () => {
    const taken = reasonNotToListen("localhost", 8000);
    if (taken) return console.log(`left out: port 8000 of localhost: ${taken}`);
    const theirs = `${Deno.execPath()} run --allow-net clock2.ts`;
    const all = await bench("--quick");
    const beside = await bench("clock2", "--quick", "--against", theirs);
    assertEquals([all.stderr, beside.stderr], ["", ""]);
    const rows = (all.stdout + beside.stdout).split("\n")
      .filter((line) => / (ours|theirs) /.test(line));
    for (const row of rows) {
      assertMatch(row, / +-?\d+\.\d\d +[\d,]+ (lines|MB)( +\d+)* +\d+$/);
    }
    assertEquals(
      rows.map((row) => row.match(/^\w+|ours|theirs/g)!.join(" ")),
      [
        ...Array(5).fill("reverb2 ours"),
        "clock2 ours",
        "netcat1 ours",
        "netcat1 ours",
        "netcat2 ours",
        "clock2 ours",
        "clock2 theirs",
      ],
    );
  },
);

test("the bench says in one line what is wrong", PROGRAM, async () => {
  for (
    const [args, reason] of [
      [["reverb3"], "reverb3 is not measured"],
      [["--against", "x"], "--against needs a SCRIPT"],
      [["clock2", "--against", "./nosuchprogram"], "nosuchprogram"],
      [["--nosuchoption"], "nosuchoption"],
    ] as const
  ) {
    const { code, stderr } = await bench(...args);
    assertEquals(code, 1);
    assertMatch(stderr, /^bench: [^\n]+\n$/);
    assert(stderr.includes(reason), stderr);
  }
  const taken = Deno.listen({ hostname: "localhost", port: 8000 });
  const { code, stderr } = await bench("clock2");
  taken.close();
  assertEquals(code, 1);
  assertMatch(stderr, /^bench: localhost port 8000: [^\n]+\n$/);
});
