/**
 * What is being written in a rule's form, kept in this tab until it is saved or closed: a person who follows a link to
 * an email that the rule matches, or reloads, finds it again at the same address. Used by rules.js.
 */

const keyOf = (place) => `rule ${place}`;

/** The unsaved rule of this place, or null. */
export const kept = (place) => JSON.parse(sessionStorage.getItem(keyOf(place)));

export const keep = (place, rule) => sessionStorage.setItem(keyOf(place), JSON.stringify(rule));

export const forget = (place) => sessionStorage.removeItem(keyOf(place));
