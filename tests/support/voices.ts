// What the reverbs answer.

/** The three voices of an echo. */
export const voices = (shout: string) =>
  [shout.toUpperCase(), shout, shout.toLowerCase()]
    .map((voice) => `\t ${voice}\n`);

/** What reverb1 answers: one echo after the other. */
export const inTurn = (...shouts: string[]) => shouts.flatMap(voices).join("");

/** What reverb2 answers to lines that come at once. */
export const overlapping = (...shouts: string[]) =>
  [0, 1, 2].flatMap((i) => shouts.map((shout) => voices(shout)[i])).join("");
