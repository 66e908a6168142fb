// Package bootstrap is what a peer needs before it is part of a ring: a home
// that no other process uses, an identity, the ring's description, and somebody
// to ask.
//
// A home is a folder:
//
//	lock          held while a process uses the home; names its pid
//	identity.key  the peer's private key, mode 0600: it is the peer
//	ring.json     which ring the home belongs to
//	peers.json    peers once known, so that a restart needs no address
//	ring.key      the key of a closed ring, mode 0600, where it was made
//	pass          the chain that lets the peer into a closed ring
//	decrees       who was revoked there, and by which keys it is ruled
//	spent         tokens for one use that were redeemed here
//	config.toml   settings (cmd/peer reads them)
//	peer.sock     the control socket (overlay serves it)
//	data/         keys on disk (store/disk owns it)
//
// [OpenHome] locks a home. [Home.Identity], [Home.Ring], [Home.Create] and
// [Home.Join] read and write what it says of the peer; files are replaced whole
// and synced, so that a crash leaves the old one or the new one.
//
// A joiner gets contacts from [ParsePlaces] and from the home's [Book], puts
// them in order with [Order], and asks them with [Find], which retries until one
// answers or its context ends. What it asks for is the contact's [Ring], carried
// by [WriteRing] and [ReadRing] over any stream: an open ring tells anybody its
// ID and its number of shards, which the joiner must share. A closed ring tells
// only whom it lets in: an [AdmissionRequest] with a token is answered by an
// [Admission] with the ring and the joiner's pass. Package pass, below this one, says
// what makes a pass valid.
//
// The package owns no network: dialling is a function passed to Find.
//
// A Home may be used from any goroutine. A Book is plain data of one goroutine.
// Failures that a person can mend are *[Error], with a code and a fix.
//
//	home, err := bootstrap.OpenHome("/var/lib/chorus")
//	if err != nil {
//		return err // bootstrap.ErrHomeLocked names the process that has it
//	}
//	defer home.Close()
//	key, err := home.Identity()
//	ring, err := home.Ring() // errors.Is(err, bootstrap.ErrNoRing): init or join first
package bootstrap
