// Package pass says who may enter a closed ring, and proves it to anybody who
// knows the ring's key. It is a pure core: it is handed the time and does no I/O.
//
// # Who signs what
//
// A ring has an Ed25519 key, and so has each peer: its peer ID is that key. A
// [Chain] leads from the one to the other:
//
//	ring key ── signs ──► inviter            a chain of one link
//	ring key ── signs ──► inviter ── signs ──► peer     of two
//
// Each [Link] names a key and what it may do, the [Right]: a role, and whether
// it may invite. Only the ring key makes inviters, so chains have two links at
// most. A chain is no secret: it is bound to the peer ID at its end, which
// the transport proves.
//
// A [Token] is what an inviter prints. It is the inviter's link and a signed,
// expiring right for somebody yet unknown, with addresses to try. An inviter
// turns it into a chain for the key that presents it ([Authority.Redeem]): so
// that an expiry means something, a token alone admits nobody. Any inviter of
// the ring may do that, except that a token for one use, for one peer, or for
// another inviter is redeemed by the inviter that made it, which keeps book of those
// spent ([Spent]) and, for an inviter, has the ring key.
//
// A [Decree] changes what is valid. All peers keep all of them, and tell each
// other:
//
//   - revoke: a key is out for good. An inviter may revoke whom inviters
//     let in, the ring key may revoke inviters as well.
//   - rotate: a new ring key takes the place of the old one, which signs it.
//     Chains of the old key are good until the time that the decree names.
//   - inviter: the link of an inviter under the ring's key, for all to know. What
//     an inviter signed does not name the ring's key, so with this link the chains
//     of the old key to it, and to those whom it let in, become chains of the new
//     one ([Authority.Renew]), whoever is away at the time.
//
// A revocation also voids the tokens that were made before it, by any inviter, except those for one
// peer: whom it puts out may have one left, and would come back by it as somebody else. A token says
// which revocations its inviter knew by when the last was issued ([Authority.LastRevoked]), and each is
// issued later than those that its signer knows ([Authority.NextRevocation]), so it takes no clocks that agree.
// Revocations that are made once more keep their time, and void nothing.
//
// [Authority.Rotation] makes what it takes to replace the ring's key: the rotation,
// the links of inviters, and the revocations so far, once more under the new key, since
// anybody could splice an inviter's new link to a chain that was revoked.
//
// # What Verify checks
//
// An [Authority] is what one peer knows: the ring's ID, its keys, the decrees. A
// chain, renewed if it can be, is valid for a peer at a time if all of this holds; each
// is a named error otherwise.
//
//  1. It has one or two links, and ends at that peer (ErrSubject).
//  2. Its root is the ring's key, or one replaced so short ago that the overlap
//     has not ended (ErrRoot, ErrRetired).
//  3. Each link is signed, for this ring, by the key before it (ErrSignature).
//  4. A link that signs another one may invite; no link grants more than the one
//     before it, and the second grants no right to invite (ErrRight).
//  5. No link has expired (ErrExpired) or was issued later than now (ErrClock).
//  6. No key on it is revoked (ErrRevoked).
//
// # Decrees converge
//
// Whether a decree is valid depends on its signatures and on the ring's keys
// alone, never on the time or on other revocations, so peers that hold the same
// decrees agree, in whatever order these came. A revocation counts for chains of the
// ring key that it was signed under, and of older ones: whoever holds a
// retired key can revoke nobody who has a chain of the new one. Of two revocations
// of one key by one signer the smaller encoding is kept. Links of inviters count under the newest
// key and are dropped with it. Of two rotations of one ring key a peer keeps the one it saw
// first. Who joins after a rotation begins with the new key and believes it about the
// one before, since both signed the rotation.
//
// # What is kept
//
// A set holds at most 4,096 decrees. A revocation that another one covers is dropped: of the
// same key, under a newer ring key or by the ring key itself, as the rotation of a ring key
// makes them. So that nobody fills the set, an inviter has 256 revocations in it, all
// inviters have half of it, and what the ring's key signs takes the room of theirs. Of too
// many, those issued first are kept, which are the same everywhere; one that finds no room is
// ErrFull. A revocation has no end of its own: whom it names could show a pass that was made
// later, or another token.
//
// # Encodings
//
// Integers are big-endian; times are seconds since 1970 in 4 bytes, 0 is none. A
// role is the low four bits of its byte, flags are the high ones.
//
//	link    key 32, right 1, issued 4, expires 4, signature 64
//	chain   format 1, root 32, count 1, links of 105 each
//	decree  format 1, kind 1, key 32, issued 4, until 4, chain of the signer,
//	        signature 64 (an inviter's: of its link), and for a rotation the new
//	        key's signature 64
//	token   format 2, ring 16, inviter's link 105, right and flags 1, expires 4,
//	        known 4, nonce 8, key 32 if bound, addresses, signature 64, checksum 4;
//	        in base64url behind "chorus1_"
//
// What is signed is a domain, such as "chorus/pass/link/1", a zero byte, the ring's
// ID, the signer's key where the encoding lacks it, and the fields.
//
//	a := pass.NewAuthority(ring, key)
//	right, err := a.Verify(chain, peerKey, time.Now())
//	if errors.Is(err, pass.ErrRevoked) {
//		// out for good
//	}
//
// The values are plain data; an Authority or a Spent is used by one goroutine at
// a time.
package pass
