// The measuring tool: that it runs. What it measures is for people to judge.

import { assertEquals, assertMatch } from "jsr:@std/assert@1";
import { sh } from "../support/process.ts";
import { PORT_8000, test } from "../support/testing.ts";

const bench = (args = "") => sh(`deno task --quiet bench --quick ${args}`);

test("the bench measures every script", PORT_8000, async () => {
  const { code, stdout, stderr } = await bench();
  const beside = await bench(
    'clock2 --against "deno run --allow-net clock2.ts"',
  );
  assertEquals([code, stderr, beside.stderr], [0, "", ""]);
  const row = /^(\w+): .* (ours|theirs) +-?\d+\.\d\d s( +\d+ MB)?$/gm;
  const rows = (stdout + beside.stdout).matchAll(row);
  const kinds = Array.from(rows, ([, script, side]) => `${script} ${side}`);
  assertEquals(
    kinds.join(),
    `${"reverb2 ours,".repeat(6)}clock2 ours,` +
      "netcat1 ours,netcat1 ours,netcat2 ours,clock2 ours,clock2 theirs",
  );
}, 60);

test("the bench says in one line what is wrong", PORT_8000, async () => {
  const assertSays = async (reason: RegExp, args: string) => {
    const { code, stderr } = await bench(args);
    assertMatch(stderr, reason);
    assertEquals(code, 1);
  };
  await assertSays(/^bench: reverb3 is not measured\n$/, "reverb3");
  await assertSays(/^bench: --against needs a SCRIPT\n$/, "--against x");
  await assertSays(/^bench: .*nosuch.*\n$/, "clock2 --against ./nosuch");
  await assertSays(/^bench: .*nosuch.*\n$/, "--nosuch");
  using _ = Deno.listen({ hostname: "localhost", port: 8000 });
  await assertSays(/^bench: localhost port 8000: .+\n$/, "clock2");
}, 60);
