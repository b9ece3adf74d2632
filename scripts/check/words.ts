/**
 * Keeps replaced words from coming back: no identifier, and no kind of an event or a state, may be a word on the left.
 * Comments and prose may use them. Part of `npm run check`.
 * usage: node build/scripts/check/words.js
 */
import { findNeedless, findWords, readRows, type Rules } from './identifiers.ts';
import { readSources, report } from './sources.ts';

const rules: Rules = {
  identifiers: readRows(`
    Desk                          → AdminApi
    openDesk                      → startAdmin
    knock                         → the control socket; there is no other way to ask
    parts                         → options, or what the parts are
    AgentParts                    → AgentOptions
    ProbeParts                    → ProbeOptions
    Said                          → RawConfig
    SaidService                   → RawService
    nothingSaid                   → emptyConfig
    Given                         → RawOption
    GivenOptions                  → RawOptions
    Collected                     → RawOptions
    Notation notation             → Syntax, syntax
    wayOut fix                    → hint
    chance                        → random
    handle                        → label
    whose                         → prefix
    standIn                       → fallbackVariable
    bare                          → impliedValue
    fallback                      → defaultText
    heed                          → on… with the event's name
    tell                          → emit
    told                          → reported
    Sight sight                   → Observation, observation
    Seen seen                     → Observed, observed
    look                          → poll, read or snapshot
    Pace pace                     → Schedule, schedule
    doubt                         → speedUp
    settled                       → steady
    Want want                     → DesiredState, desired
    Order order ordered           → AdminState, admin
    vanished                      → app-gone
    unlocated                     → address-lost
    turned                        → health-changed
    doomed                        → revoking
    Claim claim                   → Ownership, ownership
    Located located               → AddressResult, address
    Locator createLocator locate  → AddressSource
    Locating createLocating       → AddressLoop
    Member                        → EtcdClient, or one of its ports
    forgiving                     → onUnresolvable
    alone isOfUse                 → appliesTo
    isLed                         → hasLeader
    isSix                         → isIPv6
    isPoor                        → isIncomplete
    Place Surroundings Step Found → one name that says what it is
    Limit Limits                  → one name that says what is limited
  `),
  strings: readRows(`
    vanished  → app-gone
    unlocated → address-lost
    turned    → health-changed
    doomed    → revoking
    ordered   → admin
    told      → reported
  `),
  allowed: [],
};

const sources = readSources(['src', 'test', 'demo', 'scripts', 'examples', 'example-app']);
report('words', [...sources.flatMap(source => findWords(source, rules)), ...findNeedless(sources, rules)]);
