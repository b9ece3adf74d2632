/**
 * What must never be printed: controls, what breaks lines or turns the direction, what nobody sees, halves of surrogate
 * pairs. Written here again, and not taken from the program, so that the two can differ.
 */
export const unsafe = new RegExp(
  String.raw`[\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB\u{E0000}-\u{E007F}]|\p{Cs}`,
  'u',
);
