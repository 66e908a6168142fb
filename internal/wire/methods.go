package wire

import "github.com/chorus-net/chorus/internal/rpc"

// Methods of the calls between peers (below 100) and of the control socket
// (100 and above), some of which a member answers its ring's guests as well. Numbers are part of the protocol: never reuse one.
const (
	MethodPing    rpc.Method = 1 // echoes its payload; round trips and benchmarks
	MethodRing    rpc.Method = 2 // cast: one ring message
	MethodPeers   rpc.Method = 3 // the peer records of the ring's view
	MethodChord   rpc.Method = 5 // cast: one message of a ring of textbook Chord, to compare with; 4 was used
	MethodDecrees rpc.Method = 6 // decrees of a closed ring
	MethodClock   rpc.Method = 7 // what a peer takes for the time

	MethodWrite       rpc.Method = 10 // store one record at a replica
	MethodRead        rpc.Method = 11 // read one record from a replica
	MethodScan        rpc.Method = 12 // a page of a shard's keys
	MethodConfig      rpc.Method = 13 // the newest configuration of a shard
	MethodPrepare     rpc.Method = 14 // Paxos phase 1 of a configuration change
	MethodAccept      rpc.Method = 15 // Paxos phase 2
	MethodLearn       rpc.Method = 16 // a decided configuration
	MethodFingerprint rpc.Method = 17 // fingerprints of shards
	MethodSync        rpc.Method = 18 // a page of a shard's records or versions
	MethodFetch       rpc.Method = 19 // named records of a shard
	MethodWrites      rpc.Method = 20 // store records of any shards at a replica
	MethodNodes       rpc.Method = 21 // nodes of a shard's tree of fingerprints
	MethodWatch       rpc.Method = 22 // changes of shards
	MethodHorizon     rpc.Method = 23 // a step towards a shard's next horizon
	MethodForget      rpc.Method = 24 // voters whom the operator retired
	MethodCAS         rpc.Method = 25 // both phases of a change of a register
	MethodHint        rpc.Method = 26 // keep a record for voters that are out of reach
	MethodFence       rpc.Method = 27 // keep a namespace out of a shard

	MethodTask rpc.Method = 30 // cast: one scheduler message
	MethodOwns rpc.Method = 31 // which durable jobs a peer owns
	MethodLoad rpc.Method = 32 // what a peer has to do, for people
	MethodHear rpc.Method = 33 // which durable jobs a peer hears that their owners work at

	// Guests of a ring call a member by the methods of the control socket, in parcels.
	MethodParcel rpc.Method = 40 // a part of a request that comes
	MethodRest   rpc.Method = 41 // a further part of an answer

	MethodCtlPut    rpc.Method = 100
	MethodCtlGet    rpc.Method = 101
	MethodCtlDel    rpc.Method = 102
	MethodCtlList   rpc.Method = 103
	MethodCtlSubmit rpc.Method = 104
	MethodCtlJob    rpc.Method = 105
	MethodCtlJobs   rpc.Method = 106
	MethodCtlWait   rpc.Method = 107
	MethodCtlCancel rpc.Method = 108
	MethodCtlStatus rpc.Method = 110
	MethodCtlRing   rpc.Method = 111
	MethodCtlLeave  rpc.Method = 112
	MethodCtlPing   rpc.Method = 113
	MethodCtlTrace  rpc.Method = 115
	MethodCtlLookup rpc.Method = 116
	MethodCtlForget rpc.Method = 117
	MethodCtlInvite rpc.Method = 118

	MethodCtlBegin    rpc.Method = 120 // of a large value
	MethodCtlPutChunk rpc.Method = 121
	MethodCtlCommit   rpc.Method = 122
	MethodCtlOpen     rpc.Method = 123 // a value of any size
	MethodCtlGetChunk rpc.Method = 124

	MethodCtlNamespace    rpc.Method = 125 // its settings
	MethodCtlNamespaces   rpc.Method = 126
	MethodCtlSetNamespace rpc.Method = 127

	MethodCtlWatch     rpc.Method = 128
	MethodCtlWatchNext rpc.Method = 129 // more events of a watch
	MethodCtlWatchEnd  rpc.Method = 130

	MethodCtlSwap     rpc.Method = 131 // change a register
	MethodCtlRegister rpc.Method = 132 // read one
	MethodCtlTop      rpc.Method = 133 // what all peers have to do
	MethodCtlRevoke   rpc.Method = 140 // put a peer out of a closed ring
	MethodCtlRotate   rpc.Method = 141 // replace the key of a closed ring
	MethodCtlDoctor   rpc.Method = 142 // what is wrong with the peer
	MethodCtlGrant    rpc.Method = 143 // let a peer write in this one's own namespace
)
