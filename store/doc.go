// Package store is the core of the replicated key-value store: what a record
// is, who holds it, when a write is safe, and how all of it survives crashes
// and moves. It does no I/O. It owns
//
//   - formats: [Record], [Config], [State], each with an encoding that says its
//     version; signatures of records in owned namespaces, [CheckOwned];
//   - quorum operations: [Write], [Read], [Scan], one machine for each request;
//   - configurations: the acceptor in [State], the [Proposer], and
//     [Situation.Next], which tells a shard's leader what to do, by force, too;
//   - reconciliation: [Fingerprint], [Tree], [Diff] and [Pull];
//   - deletes: the horizon in [Config], and [Raise], which moves it on;
//   - registers: the acceptor in [Register], and [CAS], which changes one.
//
// It does not own the ring's opinion of who should hold a shard (chord), the
// disk (store/disk), sending, retrying and waiting (the driver, package
// overlay).
//
// Nothing here locks or starts goroutines. A machine belongs to the goroutine
// of its request; a State and a Clock are guarded by whoever keeps them. Values
// of type Config are immutable and may be shared.
//
// # Shards and configurations
//
// A key "ns/key" has a position on the ring, [Route], whose top bits name its
// shard. Each shard has a chain of configurations, C(1), C(2), and so on. C(1)
// is [Genesis]. C(e+1) is decided by single-decree Paxos among the voters of
// C(e):
//
//	                move to N                 N synchronised
//	stable {V} ------------------> joint {V, N} -----------------> stable {N}
//	     ^                              |
//	     +------------------------------+
//	                give up
//
// Only by force, see there, does another configuration follow.
//
// A stable configuration may also be followed by itself with a higher horizon: see
// Deletes and expiry.
//
// An operation at epoch e takes its quorum of the members of C(e): a majority of
// the voters at [LevelQuorum], and in a joint configuration a majority of both
// sets. A replica serves the newest epoch that it holds and no other: to an
// older request it answers with its configuration (StatusReferral), to a newer
// one with StatusBehind, and the caller sends the configuration along.
//
// # Messages
//
// Each request is a call with one reply. Shard and epoch travel in the call's
// envelope, the rest in these:
//
//	write        WriteRequest -> WriteReply     a record to all members
//	read         ReadRequest  -> ReadReply      a key from R of them
//	scan         ScanRequest  -> ScanReply      a page of keys from R of them
//	prepare      Proposal     -> Vote           phase 1, to the voters of the base
//	accept       Proposal     -> Vote           phase 2
//	config       []ShardInfo  -> []ShardInfo    the newest configurations known
//	learn        []ShardInfo  -> []ShardInfo    decided ones, answered as by config
//	fingerprint  []ShardInfo  -> []ShardInfo    and the fingerprints of what is held
//	nodes        NodesRequest -> NodesReply     nodes of the shard's tree
//	sync         SyncRequest  -> SyncReply      a page of versions, or those of some keys
//	fetch        FetchRequest -> FetchReply     the records of some keys
//	horizon      HorizonRequest -> HorizonReply a step of a Raise, to all voters
//	cas          CASRequest   -> CASReply       both phases of a register, to all members
//
// # Reconciliation
//
// Replicas miss writes, and nobody may ever read what they missed. So the driver
// compares a voter with the others, now and then and when it has been away:
//
//	fingerprint  of all shards that both keep, in one call; most are equal
//	nodes        of one that differs: down the source's tree where the sums differ ([Diff])
//	sync         the versions of the keys found, and
//	fetch        the records of those that are newer than what is held ([Pull])
//
// Each replica pulls and none pushes. The first call costs some 30 bytes a shard,
// the others about 1 KB for each differing key; where thousands differ, all the
// shard's versions are walked through instead. The tree is kept current with each
// write. It lives in memory, 16 bytes a key, and is read from the disk when it is
// first asked for: its root, the fingerprint, tells for most shards that it need
// not be.
//
// A voter to be takes no such short cut: it walks through all versions unless the
// fingerprints agree.
//
// # What the caller has to do
//
// The promise below holds if the driver keeps to these rules; the model in this
// package's tests breaks them one by one and shows what is lost.
//
//  1. A State is on stable storage before anything that follows from it leaves
//     the peer: a vote, an answer to learn, a page of sync, an answer under a
//     new epoch. Refusing because of it may begin at once.
//  2. A write is admitted ([State.Admit]) and queued for commit in one step with
//     respect to changes of the State, and the disk commits in the order of the
//     queue; or else pages of sync wait until the writes admitted under former
//     epochs are committed. Otherwise a page handed over at epoch e+1 could miss
//     a write admitted at e.
//  3. [Judge] is asked in the order of commits, and a write is acknowledged, or
//     found superseded, when the version held is on stable storage.
//  4. A peer's incarnation lives on the disk with its records and changes when
//     they are lost. It draws versions from one [Clock] whose ceiling is saved.
//  5. A new voter reports a source as synchronised ([ShardInfo].Synced) under
//     the epoch that it pulled by, from start to end, once the records and that
//     epoch's configuration are on its disk. What it reports may be forgotten in
//     a crash, and is then pulled again.
//  6. A peer keeps the State of a shard when it is no voter any more. Its records
//     it may drop once it holds a stable configuration without it. It goes on
//     asking [Situation.Next], and leaves for good only when that rests: until a
//     majority of the new voters holds the configuration that dismissed it, the
//     move is not complete.
//  7. A coordinator without a configuration, or whose operation failed, asks the
//     peers that the ring proposes for theirs and goes by the newest: it may hold
//     one so old that none of its members is left to refer it.
//
// # Invariants
//
// Epochs do not fork: two peers that hold a configuration of one epoch hold the
// same. Paxos gives that, as acceptors are fixed by C(e), ballots are unique,
// and their state survives crashes. A ballot names its proposer's incarnation; a
// proposer that restarts and forgets its counter is refused an equal ballot by
// at least one acceptor of any majority that promised it before.
//
// Neighbours share a set: the voters of C(e+1) are the voters of C(e) or its
// Next, so a quorum at epoch e meets every majority of the voters of C(e+1).
//
// # Why no acknowledged write is lost
//
// The promise: a write acknowledged at level quorum or all is returned, or a
// newer version is, by every read of level quorum or all that begins later,
// while fewer than a majority of a shard's voters lose their disks between
// completed moves and repairs.
//
// (1) Once an operation was acknowledged at an epoch above e, none can be at e
// any more. If at e+1: its quorum includes a majority of the voters of C(e+1),
// all of whom hold C(e+1) and refuse epoch e; every quorum at e meets them, as
// neighbours share a set. If at e+2 or above: C(e+2) was decided, so a majority of
// the voters of C(e+1) accepted it with C(e+1) as its base, and holds C(e+1) or
// a newer one on disk; the same follows. So a reader with an old configuration
// gets a referral, not an old value. (This is also why a replica that has
// accepted a successor and does not know its fate serves on: nothing is gained
// by a fence, and a proposer that dies half-way stalls nobody.)
//
// (2) At all times a write acknowledged at epochs up to e is held by a majority
// of each set of C(e), by the time that a quorum operation at e can succeed.
//
//   - stable to joint: the voters stay. Of Next nothing is claimed: reads still
//     take a majority of Voters.
//   - giving up: the voters stay, and writes under the joint configuration took
//     a majority of them.
//   - joint {V, N} at e+1 to stable {N} at e+2: a write acknowledged at e+1 is
//     held by a majority of N. One acknowledged at e or before is held by W =
//     majority(V) members of V. A new voter synchronised from |V|-W+1 members of V
//     that held e+1, so from one, s, of those. s took the write before it held
//     e+1, since after that it refused it, so the page that s handed over at
//     e+1 had it (rule 2). So all of N\V hold it, and of the members of both
//     sets at least W-|V\N|. Where the sum is below majority(N), the members
//     of both sets must synchronise too ([Config.SyncSources]), and all of N
//     hold it.
//
// Holding means this version or a newer one: replicas replace records only by
// newer ones, and reconciliation merges by the same rule. A voter that lost its
// disk is not that voter any more: requests name an incarnation, so it neither
// answers nor votes for its former life until a move makes it a voter again.
//
// (3) A later put wins: a write whose first round meets a newer version takes
// the newest that a quorum reports, which is at least that of every put
// acknowledged before, stamps the record above it, and goes again.
//
// Level one promises none of this; all that it adds is speed. Nor does a write that
// peers keep for voters out of reach, as a [Hint]: it is the late write of its record,
// by another coordinator, and harms no more than any late write does.
//
// # Deletes and expiry
//
// A delete is the write of a tombstone, a record that wins over older ones and is
// acknowledged like any. A value that expires carries the time, absolute, and is
// treated as a tombstone from then on. Both take up space until they are reclaimed,
// and if one were while any replica holds an older value of its key, that value
// would come back.
//
// So each configuration has a horizon, a clock. What is at or below it is settled:
// replicas refuse writes there (StatusStale, and the write is stamped anew), and
// drop dead records ([Entry.Dead]). The horizon is a shard's causal clock in one
// word. A dot of a version vector tells a replica whether it has seen one write;
// the horizon tells it, of all writes with a clock up to there, that whatever
// counts of them is with the voters. It needs no vector that grows with every
// writer, and no gap in it; and a write that nobody had seen when its key was
// deleted is covered too, which a vector would take for new.
//
// A stable configuration C(e) is followed by itself with a higher horizon h, once
// each of its voters, asked by the leader ([Raise]), has
//
//	closed     it accepts no write at or below h any more, and those that it had
//	           accepted are on its disk
//	confirmed  it holds what any voter holds at or below h, or newer: when all had
//	           closed, the leader pulled from each of them, then each from the leader
//
// A voter that is not live prevents that, until it is back, or replaced, or
// forgotten by the operator; [Situation.Blockers] names it. So does one that refuses,
// until it does what it is asked for. A peer that is no voter any more has no say:
// losing its seat retires it. Should it return, as a member of a later configuration,
// it drops what the horizon covers before anything else, tombstones and values alike
// ([State.Unclean]), and gets what counts of them from the voters while it
// synchronises. What it holds above the horizon it keeps.
//
// The driver keeps to the rules above, and to these:
//
//  11. A write is refused by [State.Settled] in the step in which it is admitted. (A
//     driver that lets some in has no promise for their keys but that no value is lost.)
//     An answer to a HorizonRequest leaves when the State is on stable storage and
//     the writes admitted before it are committed.
//  12. A confirmation is given after a pull from the leader that began, and ended,
//     under the epoch at which the voter had closed.
//  13. Records of Unclean are dropped when the writes admitted before are committed,
//     and before the configuration is served by, or saved.
//  14. What is pulled is stored only while the shard is at the epoch of the pull,
//     in one step with respect to changes of the State, like a write.
//  15. Dead records are dropped by the horizon of a saved configuration, when the
//     writes admitted under former ones are committed.
//
// Why nothing returns. Let a replica drop a dead record T of key k by the horizon h
// that C(e+1) raised. The claim is that no member ever serves, or hands over, an
// older record of k from then on. The voters of C(e) hold T or newer: one of them
// held T, or a later record of k that was settled too, when all had closed; for
// after that records at or below h come by pulls from voters alone. Each took that
// over before it confirmed. A record older than T comes to one of them later by
//
//   - a write: it is at or below h, and refused since the voter closed;
//   - a pull or a read repair: the first is stored only under the epoch that it began
//     under (14), at which its source held T or newer, or C(e), at which T is held
//     here; the second is refused as a write is;
//   - a member of another configuration: each that follows draws its new members
//     from peers that either confirmed under C(e), or learn of a horizon raised
//     after the epoch up to which they are clean, and have dropped k. Clean says
//     which, by the epoch, as two raises may come to the same horizon.
//
// Dropping loses nothing acknowledged: it is done by members that have yet to
// synchronise, whom (2) above does not count upon. A write of level one that only
// such a peer had is lost with it.
//
// # Force
//
// Where a majority of a shard's voters is gone for good, none of the above goes on,
// and only the operator can know that it is. What they alone held is lost, and with
// it, perhaps, writes that were acknowledged. The survivors go on with what they
// have ([Situation.Forced], [Config.Force]):
//
//  16. A voter is marked only by the operator's explicit word. As long as one member
//     of the configuration that is not live is not marked, the shard waits: it may
//     come back.
//  17. The first live member asks every peer that it sees in the ring for a newer
//     configuration, and starts again if there is one or if one does not answer. Then
//     it pulls from all other live members, and then proposes.
//
// What follows is decided by all survivors, acceptors of the same ballots as ever.
// Two proposers with other survivors in mind have one in common, unless each was
// told that all of the other's are gone; so one value comes out. Its only voter is
// the proposer, who holds what any survivor holds, and the others synchronise from
// it like any new voter: (2) above holds from there, for what the survivors held.
//
// Its epoch lies in a range above that of all who are gone. Whatever they decided
// last, and whoever returns after all, alone or with a majority of them, is of an
// older epoch, so it is referred, serves no more, and takes a seat again like a peer
// that was away. Writes that such a peer took above the horizon come back with it,
// by their versions. Only while two parts of a ring are apart, each of them forced
// because it was told that the other is dead, do both serve; when they meet, the one
// with the higher epoch goes on. That is the operator's doing and his alone.
//
// Where no member at all is left, and all are marked, there is nobody to decide. Then
// the first peer that the ring gives the shard to asks every peer that it sees, as by
// 17, and begins anew with others of the ring ([Config.Reopen]): the shard has lost its
// keys. Who returns after all is of an older epoch, and brings what it holds above the
// horizon when it is given its seat again; a lone voter serves what it holds until it
// hears of that.
//
// # Banks and fences
//
// All of the above is about one shard. Shards with the same positions and another
// number of voters are another bank ([ShardID]); each has a chain of its own, which
// begins with voters that were decided with the bank. A namespace is in one bank for
// ever: in 0, or where a register says, once that is decided. Before that it is fenced
// off in all shards of bank 0. A fence is a record in the shard, "_fence/NS", written at
// level quorum at the version that the register gives the attempt; the driver keeps to
// these rules:
//
//  18. A replica that is asked for a fence admits no request on a key of the namespace
//     from then on, waits until what it admitted before is on disk, and refuses if it
//     holds a key of it that is neither deleted nor expired, a register among them.
//     It does so under the epoch that the request is served by, and before it
//     stores the record.
//  19. A replica that holds the fence, however it came by it, admits no such request, be
//     it a write, a read, or either phase of a change of a register.
//  20. A later attempt, and the end of one, have later versions: the register orders them.
//     The namespace moves on only if the register says of the same attempt that it may.
//
// Why nothing is acknowledged in both banks. Let a fence be acknowledged at epoch f, and
// a write of the namespace in the same shard at e. If e = f, their quorums share a
// replica. It admitted the write before it was asked for the fence, and then it held the
// key when it looked, and refused; or after that, and refused the write. If e < f,
// the write is held by a majority of each set of C(f) by the time that the fence
// can succeed, by (2), and one of those refuses. If e > f, the same holds of the fence,
// and one refuses the write. A read of the namespace that a quorum answers in bank 0 was
// answered by one that had no fence: it began before the fence was up, and before
// anything was acknowledged elsewhere. Level one promises none of this.
//
// A fence that a minority holds spreads by reconciliation like any record. It closes the
// namespace until the attempt goes on, or whoever meets it takes it back.
//
// # Clocks that are wrong
//
// Replicas refuse versions that are more than DefaultSkew ahead of their clock, by
// whichever way they come: writes, repairs and pulls. A peer whose clock is ahead
// by more is then alone with what it wrote. Nobody copies it; a read does not go
// by one replica's word for such a version, nor does a write give way to it
// ([Quorum.Believe]); where a quorum says so, it is the reader's clock that is
// behind. A peer whose clock is behind, at 1970 say, refuses all writes as a
// replica, and is refused by its own clock as a coordinator where the key has a
// version; it reads. It cannot become a voter while it would have to pass over
// records, and no horizon is raised into the future of any voter. What is settled is
// believed whatever the clock says: every voter's had come that far.
//
// Nothing that is held gives way to an older version, however far ahead it is: a
// peer that is back at 1970 would take all that it holds for that, and could not be
// told from one whose clock was ahead once.
//
// # Registers
//
// A register is a key that changes by compare-and-swap: CASPaxos (Rystsov 2018)
// on the members of the key's shard, under its epoch. A replica keeps of each the
// ballot promised, the ballot accepted and the state accepted with it: a version
// that counts changes, the dot of the change, a value. A change, [CAS], is
//
//	prepare  a ballot at a quorum; each promises to accept none below, and tells
//	         what it accepted
//	apply    take the state of the highest ballot; if its version is the expected
//	         one, the change makes the next version of it
//	accept   that state at a quorum
//
// and a read, like a change that does not fit, has what it found accepted
// again, unless a quorum never accepted anything: another may have seen more or
// less of an unfinished change, and the next must see the same. Both phases go
// to all members and take a majority of Voters and one of Next; refusals by
// epoch are those of writes, and a referral begins a new attempt in the new
// epoch. Both phases sync, reads too.
//
// What became of a change can be unknown: its coordinator died or gave up. One
// that repeats an attempt knows its earlier one by the dot; only if others have
// since gone further, perhaps from there, is its verdict [Unsure].
//
// The driver keeps to the rules above, with requests on registers in the place
// of writes, and to these:
//
//  8. Admission and queueing of a CASRequest, prepare or accept, are one step
//     (rule 2), [Register.Step] runs in the order of commits on what the disk
//     then holds (rule 3), and what it changed is synced before the answer.
//  9. A register that accepted something is listed, compared, handed over and
//     counted in fingerprints as the record of [Register.Record], and one that
//     is handed over is merged by [Register.Merge], in a pull and in a repair.
//     One that only promised is not listed; once the replica serves a later
//     epoch it may be forgotten.
//  10. A dot is drawn from the peer's Clock, and names one change.
//
// Why a change that was applied is never lost. Call a state that a quorum
// accepted at ballot c chosen; the claim is that whatever is proposed at a
// higher ballot b builds on it. By induction over the proposals between c and b
// it is enough that b's promises tell of a ballot of at least c.
//
//   - In one epoch, b's quorum and c's share a member, as both are majorities of
//     the same sets. It accepted c before it promised b, or else it would have
//     refused c, and what is accepted only grows, merging included. Merging adds
//     no ballot that was not proposed, and raises the promise with it, so none at
//     or above b is told.
//   - From an earlier epoch, accepted states are to prepare what records are to
//     read: by (1) and (2) above b's quorum has a member that holds c or newer.
//
// And what begins after c was chosen is not chosen below c: within the epoch
// promises see to that, at earlier ones nothing succeeds any more (1), and a later
// one has no ballot below c, because the epoch orders first. That is why a promise need not move with the shard. It binds its replica within one
// epoch, where it is on disk; the replica leaves the epoch by refusing all of
// it. Were ballots to ignore epochs, a state accepted by a minority and left
// behind could return from a dismissed voter and outrank what the new voters
// chose without having heard of its ballot; the model shows it.
//
// A horizon settles no register: the clock of its record is a ballot, below any
// horizon, and yet it may change. It is never dead, so none is reclaimed; a member
// that drops what a horizon covers drops its registers too, before it synchronises.
//
// What a replica merged it may have promised not to accept. That is harmless to
// the above, but copies say nothing about what is chosen: so nobody may infer
// that from replicas that merely agree, and there is no read in one phase.
package store
