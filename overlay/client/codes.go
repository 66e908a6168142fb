package client

import (
	"maps"
	"slices"
)

// ErrorCode is the stable word that names a kind of failure. Scripts may match
// on it.
type ErrorCode string

// The codes. The table below gives each its meaning and its exit status.
const (
	CodeBadAddress      ErrorCode = "bad-address"
	CodeBadClock        ErrorCode = "bad-clock"
	CodeBadConfig       ErrorCode = "bad-config"
	CodeBadHome         ErrorCode = "bad-home"
	CodeBadIdentity     ErrorCode = "bad-identity"
	CodeBadKey          ErrorCode = "bad-key"
	CodeBadToken        ErrorCode = "bad-token"
	CodeClosed          ErrorCode = "stopping"
	CodeConflict        ErrorCode = "conflict"
	CodeDeadline        ErrorCode = "deadline-passed"
	CodeDiskFull        ErrorCode = "disk-full"
	CodeDiskReadOnly    ErrorCode = "disk-read-only"
	CodeExpired         ErrorCode = "expired"
	CodeHomeExists      ErrorCode = "home-exists"
	CodeHomeLocked      ErrorCode = "home-locked"
	CodeInternal        ErrorCode = "internal"
	CodeInterrupted     ErrorCode = "interrupted"
	CodeJobCancelled    ErrorCode = "job-cancelled"
	CodeJobsOpen        ErrorCode = "jobs-open"
	CodeKeyTooLong      ErrorCode = "key-too-long"
	CodeLagging         ErrorCode = "watch-lagging"
	CodeLapsed          ErrorCode = "watch-lapsed"
	CodeLastPeer        ErrorCode = "last-peer"
	CodeNamespaceClosed ErrorCode = "namespace-closed"
	CodeNoAnswer        ErrorCode = "no-answer"
	CodeNoFile          ErrorCode = "no-file"
	CodeNoPeer          ErrorCode = "no-peer"
	CodeNoRing          ErrorCode = "no-ring"
	CodeNotAvailable    ErrorCode = "not-available"
	CodeNotFound        ErrorCode = "not-found"
	CodeNotInvited      ErrorCode = "not-invited"
	CodeNotOwner        ErrorCode = "not-owner"
	CodeNotWasm         ErrorCode = "not-wasm"
	CodeOverloaded      ErrorCode = "overloaded"
	CodePortInUse       ErrorCode = "port-in-use"
	CodeQuorumLost      ErrorCode = "quorum-lost"
	CodeQuotaExceeded   ErrorCode = "quota-exceeded"
	CodeRefused         ErrorCode = "refused"
	CodeReplicasFixed   ErrorCode = "replicas-fixed"
	CodeRevoked         ErrorCode = "revoked"
	CodeTaskFailed      ErrorCode = "task-failed"
	CodeTimeout         ErrorCode = "timeout"
	CodeTokenUsed       ErrorCode = "token-used"
	CodeTokenVoid       ErrorCode = "token-void"
	CodeUnhealthy       ErrorCode = "unhealthy"
	CodeUnknownFunction ErrorCode = "unknown-function"
	CodeUsage           ErrorCode = "usage"
	CodeValueDamaged    ErrorCode = "value-damaged"
	CodeValueTooLarge   ErrorCode = "value-too-large"
	CodeWrongRing       ErrorCode = "wrong-ring"
)

// Exit statuses of the command line.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitNoPeer      = 3
	exitNotFound    = 4
	exitUnhealthy   = 5
	exitTimeout     = 6
	exitConflict    = 7
	exitRefused     = 8
	exitInterrupted = 130
)

var codes = map[ErrorCode]struct {
	exit int
	doc  string
}{
	CodeBadAddress:      {exitUsage, "an address is not a multiaddr, or lacks the /p2p/PEER-ID that says who must answer"},
	CodeBadClock:        {exitRefused, "the clock of this machine, or of the one that refused, is wrong by far"},
	CodeBadConfig:       {exitUsage, "the config file or a PEER_ variable holds an unknown key or a wrong value"},
	CodeBadHome:         {exitFailed, "a file of the home is damaged"},
	CodeBadIdentity:     {exitFailed, "the identity of the peer is damaged, lost or open to others"},
	CodeBadKey:          {exitUsage, "a key is empty or not valid UTF-8"},
	CodeBadToken:        {exitUsage, "a token is not one, or not all of one"},
	CodeClosed:          {exitNoPeer, "the peer stopped, or is stopping, while it was asked"},
	CodeConflict:        {exitConflict, "a register is at another version than the one expected"},
	CodeDeadline:        {exitTimeout, "the deadline of the job passed before all its tasks were done"},
	CodeDiskFull:        {exitFailed, "the disk of the home has no space left"},
	CodeDiskReadOnly:    {exitFailed, "the home cannot be written to"},
	CodeExpired:         {exitRefused, "a token has expired, or a pass whose ring key was replaced long ago"},
	CodeHomeExists:      {exitConflict, "the home belongs to a ring already"},
	CodeHomeLocked:      {exitConflict, "another process runs a peer in this home"},
	CodeInternal:        {exitFailed, "something failed that has no code of its own; the message tells what"},
	CodeInterrupted:     {exitInterrupted, "a signal ended the command"},
	CodeJobCancelled:    {exitFailed, "the job was cancelled before it ended"},
	CodeJobsOpen:        {exitConflict, "jobs that have not ended would end with the peer that is to leave"},
	CodeKeyTooLong:      {exitUsage, "a key is longer than 1,024 bytes"},
	CodeLagging:         {exitFailed, "a watch was not read while there was much to tell"},
	CodeLapsed:          {exitFailed, "a watch or its cursor is so old that deletes may have been missed"},
	CodeLastPeer:        {exitConflict, "the last peer of a ring has nobody to hand its keys over to"},
	CodeNamespaceClosed: {exitTimeout, "the namespace is being given another number of replicas, and that was not finished"},
	CodeNoAnswer:        {exitTimeout, "no peer answered at the addresses to join by"},
	CodeNoFile:          {exitUsage, "a file that was named cannot be read or written"},
	CodeNoPeer:          {exitNoPeer, "no peer is running in this home"},
	CodeNoRing:          {exitFailed, "the home belongs to no ring yet and no address to join by was given"},
	CodeNotAvailable:    {exitUsage, "this version does not do what was asked"},
	CodeNotFound:        {exitNotFound, "there is no such key, job or peer"},
	CodeNotInvited:      {exitRefused, "the ring is closed, and no token was given"},
	CodeNotOwner:        {exitRefused, "a namespace belongs to another peer, who has not granted it to this one"},
	CodeNotWasm:         {exitUsage, "a file is not a WebAssembly module"},
	CodeOverloaded:      {exitFailed, "a queue of the peer is full; try again later"},
	CodePortInUse:       {exitConflict, "another program listens on this address"},
	CodeQuorumLost:      {exitTimeout, "fewer replicas than the level needs could be reached"},
	CodeQuotaExceeded:   {exitFailed, "the key's replicas keep as much as their quotas allow"},
	CodeRefused:         {exitRefused, "the gate of a closed ring does not allow it; the message tells why"},
	CodeReplicasFixed:   {exitConflict, "the number of replicas of a namespace is decided before its first key, for good"},
	CodeRevoked:         {exitRefused, "the peer was put out of the ring"},
	CodeTaskFailed:      {exitFailed, "at least one task of the job failed"},
	CodeTimeout:         {exitTimeout, "no answer within the time-out"},
	CodeTokenUsed:       {exitRefused, "a token for one use was used by another peer"},
	CodeTokenVoid:       {exitRefused, "a peer was put out since the token was made, which voids all but those made with --for"},
	CodeUnhealthy:       {exitUnhealthy, "a check did not hold"},
	CodeUnknownFunction: {exitNotFound, "no peer of the ring has the function"},
	CodeUsage:           {exitUsage, "a command, flag or argument is not understood"},
	CodeValueDamaged:    {exitFailed, "a chunk of a large value is at none of its replicas, or its list of chunks is wrong"},
	CodeValueTooLarge:   {exitUsage, "a value is larger than 4 GiB, or than 512 KiB where it must be in one piece"},
	CodeWrongRing:       {exitConflict, "the ring there has another name than the one asked for"},
}

// Exit returns the exit status of a command that fails with the code.
func (c ErrorCode) Exit() int {
	if info, ok := codes[c]; ok {
		return info.exit
	}
	return exitFailed
}

// Doc returns what the code means, in one line.
func (c ErrorCode) Doc() string { return codes[c].doc }

// ErrorCodes returns all codes in order.
func ErrorCodes() []ErrorCode {
	return slices.Sorted(maps.Keys(codes))
}
