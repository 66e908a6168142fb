// Package chord is the ring: who is a member, and who owns which part of the
// key space. It is a pure core. It does no I/O, starts no goroutine and reads no
// clock: a driver hands it messages and the time, and sends what it returns.
//
// It owns ring maintenance, the table of peers, failure detection and lookups.
// It does not own connections, addresses, signatures or persistence, and it
// knows nothing of keys' values: package store builds on View.
//
// # Driving a Ring
//
// One goroutine owns a Ring. It
//
//   - calls Create, Join or Rejoin once;
//   - hands in each message that arrives with Step, after it has set From to
//     the peer that the transport authenticated, and has verified the signature of
//     every record in Peers;
//   - calls Tick when Deadline has come, and asks for Deadline again after every
//     call;
//   - sends Output.Messages before the next call, best effort: a message may be lost,
//     doubled or overtaken. Where a peer cannot be reached, or a connection to one is lost, it
//     says so with Unreachable;
//   - passes addresses in Output.Learned to its address book;
//   - takes View when Output.Changed is set, and publishes it to the other layers,
//     which may read it from any goroutine;
//   - raises the Seq of its record each time it starts, so that news of its former
//     life are told from news of this one;
//   - calls Refresh for those who seem to differ before it tells people what
//     Agreement says: what is known of peers that are no neighbours may be old;
//   - keeps the peers of the view somewhere, hands them to Rejoin after a restart,
//     and to Hint now and then if they have dropped out of the view.
//
// # Positions
//
// A peer holds 1 to 64 positions, Position(ID, i) for indexes i below 1024 that
// its signed record lists. So nobody can choose where to stand, and a message that
// names any other position is refused. NewIndexes chooses them when a peer is new, so
// many as its weight says (WeightedPositions): a peer of weight 200 takes twice the
// positions of one of 100, and keeps about twice the keys.
// Each position has its own predecessor and successor list. All that a peer asks of
// another one in a round travels in one message, and a state that has not changed
// travels as its digest, so the cost of maintenance does not grow with the
// positions but with the neighbours. A crash takes all positions of a peer out in
// one step.
//
// # Maintenance
//
// The operations are those of Pamela Zave, "Reasoning about identifier spaces:
// how to make Chord correct" (IEEE TSE 2017), applied to each position:
//
//   - join: find the member that stands before, take its list, and be a member once
//     the first on it that lives has answered, with all positions at once. An attempt
//     goes on while it gets answers, and the next one gives each request twice the time;
//   - stabilise: copy the list of the successor; if its predecessor lies between,
//     adopt that one once it has answered with its own list; notify;
//   - rectify, when notified: take the notifier for predecessor if there is none or
//     the notifier lies after it; otherwise make sure that the predecessor lives.
//
// Three things go beyond the paper and keep its invariant. Own positions are put
// into every own list, which only makes its steps finer. Any peer of the table that
// lies between a position and its successor is a candidate like the successor's
// predecessor, and is adopted under the same condition. And departed peers are left
// out of lists that are copied, until they have answered again.
//
// A successor list runs until it names r distinct other peers (Config.SuccessorPeers).
// The invariant holds on every step while the assumption of the paper holds: no
// false suspicion, and no crash that takes all live entries of a list, or leaves
// less than r+1 peers that no list skips. Where it is broken, by loss, delay beyond
// all time-outs or a split, the ring converges again once messages flow.
//
// Why it holds: call a position a principal if no list skips it, be it held by a
// member, told to one and under way, or told to a joiner. Lists change in four ways,
// none of which skips a principal: the head is put before its own list, where nothing
// between lies that the old list did not skip; a dead entry goes; own positions come;
// and a joiner takes the list of who stands before it. So a principal remains one
// while it lives, and with more than r peers that have one a list can neither pass its
// own position nor lose its order. A joiner must not go by the word of its successor: that one may
// not know yet whom its predecessors have put before it.
//
// # What maintenance costs
//
// A state, which is a slot's list and predecessor, travels once. Whoever asks says
// by digest which one it holds, or which entries of a similar list, and is told what
// is new in it. In a ring of more than Config.SmallRing other peers maintenance
// spares bytes: rounds are six times as far apart; a change hastens only the slot
// that it gives another successor; and a slot tells its predecessor unasked what has
// changed (KindTell), so that lists are up to date long before the next round. A
// tell counts only if it comes from the successor, is of its present life and newer
// than what is known; it is copied like an answer, and spares a slot that the teller
// knows for its predecessor three rounds. Peers that are no neighbours are
// probed slowly, since theirs notice sooner. Slots at which nothing has changed for
// ten rounds take turns, those before the positions of one peer: each asks in one round of
// as many as these are, told by the clock, so that somebody asks the peer in every round, however
// many positions it has. Whoever rests may miss a tell: a slot whose predecessor has not asked since
// reminds it, after six rounds, twelve and twenty-four.
// Who finds a peer dead lets the others before it know, if it fell silent. In a small ring
// everybody is asked and told at once.
//
// # Small rings
//
// A ring of at most r+1 peers cannot have r distinct other peers in a list, and
// the paper's base of r+1 does not exist. These rules hold there:
//
//   - A list that finds fewer than r other peers wraps round the circle: it ends
//     before its own position. At rest it is the full membership, in order.
//   - A ring of one is its own successor; its lists hold its own positions.
//   - Nothing is adopted but what answers, as in a large ring; nothing is dropped
//     but what left requests unanswered, or left with a word.
//   - At rest all peers but one may crash at once. While it changes, the rule is
//     weaker: after a crash, what remains must still hang together through the
//     lists. If it does not, the parts find each other through the table, through
//     departed peers that are asked now and then, and through Hint.
//
// # The table
//
// Beside neighbours the ring remembers every peer that it hears of, up to
// Config.TableSize, and those whom its lists name beyond that: View shows those that were checked. In a small ring news of joins
// and departures ride on the messages of maintenance, a bounded number of times
// each. In others they go down trees, so that everybody hears of an event once
// (News): a newcomer is announced by its successor, which it asks to, a death by the
// predecessor that noticed it, and by another one if it does not. Whoever is told
// tells those behind it up to a given position, through the peers that it knows at
// distances of powers of two; a reply acknowledges it, and without one the next peer
// is told. An event is carried once. Events are gathered for a while, which grows with
// their rate (a tenth of a second to five), so that messages stay few.
//
// Tables are compared by digest, and where they differ by parts, within the budget:
// that finds what news did not reach, and fills the tables of newcomers. What a third
// party says is a hint: a record is signed, and a peer enters the view once it has
// answered (in rings beyond Config.VerifyPeers: at once, and leaves it on evidence). A
// reported departure is checked by the neighbours, by all in rings up to
// Config.VerifyPeers, and by a few in larger ones; the rest believe it, and learn
// better when the peer itself or its record comes again.
//
// Every peer estimates the rate of events from what changes in its own lists. Where
// filling the tables of newcomers would cost more than Config.Budget, they take records
// little by little, and View.Complete is false until few are missing. Where news alone
// would, peers keep neighbours and fingers and what they hear anyway, say so
// (Message.Narrow), and are told nothing until it has been calmer for a while; but not
// in a small ring, where all hear of everything, whatever it costs. Fingers
// take over there, and where the ring is larger than the table: two for each power of two, one
// for each half of it, with the smallest round trip of a few that were measured. Where the
// lists have changed lately, one for both halves is enough. What is missing is taken from those
// who are known, or whose records come by, and looked up where there is nobody. Table and
// fingers shorten lookups and speed repair; they never decide what is right.
//
// However many positions a peer has, its fingers run from one of them, its anchor: the first of
// its record. They lead to anchors where there is one (Message.Anchors), since whoever
// is reached at another position knows no more of what follows than anybody. And a lookup
// asks, and is referred to, whoever leads to the target soonest by the place of its anchor, or
// by a list that runs as far as the target (reach.go). In a ring of 30,000 with eight positions each
// that takes 5.6 requests, where it took 9.2 by the nearest position and fingers to any. The way
// is an estimate, which may lead in a circle: a lookup that begins anew goes by distance alone.
//
// # Lookups
//
// A lookup asks the believed owner, and whoever stands before the target if that
// one does not answer or does not know. It ends when the owner itself has answered:
// a peer that claims the target, or the first that lives in the successor list of
// the target's predecessor. A peer does not claim a target while it knows of
// somebody between them. One that did not answer counts as dead once it was asked
// twice, or was evicted: a lost message does not make its successor the owner.
//
// Where an answer takes longer than nearly all of that peer (its smoothed round
// trip and four times the variation), the next one is asked beside it, up to three
// at a time. What leads to the end first counts. To be late is no evidence of
// failure.
//
// In a ring that anybody may join (Config.Wary) no peer is believed alone. A liar cannot
// stand where its identity does not say, nor answer in the place of others, but it can
// leave peers out. So the owner is the first peer behind the target that answers, whatever
// it says itself; and unless our own table holds the whole ring, the lookup takes four
// ways, which begin at different peers of our own and share none, until on each the two
// nearest to the target that it knows have answered. It costs about five times the
// messages: closed rings, whose members were invited, do without.
//
// Records are long, so an answer names few nodes (Message.Most): one on the way, two
// at its end, three if it is the owner's, and more once somebody did not answer.
//
// A lookup that knows nobody else to ask, or has heard of several in a row that
// stand no nearer than others before, waits and begins anew, 6 times within
// 6.3 s, since a ring that lost many peers at once heals meanwhile; then the first
// that answered is taken, or ErrLookup. Lookups of joiners and for fingers take a
// predecessor's word, as they ask whom they found anyway.
//
// # What is not taken
//
// A message that is malformed, of another ring, misrouted or unasked for is refused
// and changes nothing. A record whose Seq lies more than 10 minutes ahead of our clock
// is passed over, and so is a change of a record beyond one a second, or four at once;
// if the first is the sender's own, the whole message is refused. All is counted by Reason.
//
// # Failure
//
// A request that times out (after a time computed from the round trips) or a word
// of Unreachable makes its peer a suspect. A suspect is probed, and anything that
// it sends clears it. It is evicted when Config.Probes more requests have failed and
// either all of them could not be delivered, as when its process has ended, or it
// has been silent for Config.Silence. So a lost message evicts nobody, nor does a
// process that is stopped for five seconds. Where others report the departure, one
// more request and Config.MaxTimeout of silence are enough.
//
// Who is no neighbour and cannot be reached is not probed at once in a large ring:
// where there is a table, news of its death are waited for (20 s) and then believed;
// where there is none it is forgotten, as it is of no use.
// Those to whom a joiner is referred are probed if nothing was heard of them for a second:
// a joiner may be told of the same dead peers by all whom it knows.
//
// Meanwhile Config.Helpers others are asked to probe a silent suspect (the indirect
// probes of SWIM). The word of one that heard of it counts once for each time that
// it was asked, and puts the end off, to three times Config.Silence at the most. A
// helper probes members that it knows, a few a second for each asker.
//
// A call that comes long after Deadline means that this peer itself was stopped, or
// its machine too busy. Then its requests get a fresh time-out, since the answers
// may be there unread, and it shows itself to its neighbours.
//
// An evicted peer is remembered for an hour: what others say of it no longer
// counts, but it is asked now and then whether it is back, and at once where a neighbour's
// list or a message of its own speaks for it. That is how the halves of a split ring find
// each other.
//
// # Reunion
//
// A peer that answers in the life in which it was evicted was never dead but out of
// reach, and so, it seems, were others. From such an answer on, and for ten seconds
// after the last one, parts of the ring grow together:
//
//   - Tables are compared at once, whatever the budget says. Of what the other one
//     has, the records of departed peers are known here and do not travel: they count as
//     members again on that word (recall), where hearsay is believed (Config.VerifyPeers)
//     and the eviction is more than 30 s old, so that news of a true death would have reached
//     the other. One that is evicted again has to answer itself. So a table of a thousand
//     peers merges in one exchange of a few kilobytes.
//   - Members that come back stand between positions and their successors, and are
//     adopted like newcomers, once they have answered with their own lists. What
//     changed is told from successor to predecessor.
//   - Where there is no table, or comparisons find many that nobody remembers, a peer
//     looks its own positions up in the other part (unify), through the one that answered.
//     Asks of these lookups say so (Message.Meet), and whoever gets one, and finds somebody
//     else at an own position there, does the same in our part, once in ten seconds. So all
//     meet whom they stand beside in the time of a few lookups, whatever the size of the parts.
//   - A peer without a table does not know whether one that answers belongs to another
//     part. It looks up one of its positions through that one first (sound, at most every
//     20 s); if the owner there is somebody else, there are two parts. The same goes for
//     peers that the driver names (Hint).
//
// What lists take on meanwhile is not counted as churn.
package chord
