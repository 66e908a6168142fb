package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/wire/pb"
	"github.com/chorus-net/chorus/store"
)

// ErrMalformed is wrapped by every parser of this package.
var ErrMalformed = errors.New("malformed message")

// message is what the generated code offers.
type message interface {
	SizeVT() int
	MarshalToSizedBufferVT(b []byte) (int, error)
	UnmarshalVT(b []byte) error
	UnmarshalVTUnsafe(b []byte) error
}

// appendMessage appends the encoding of m to b. Marshalling cannot fail: there
// are no required fields, and strings are checked where they come from.
func appendMessage(b []byte, m message) []byte {
	n := m.SizeVT()
	b = append(b, make([]byte, n)...)
	if _, err := m.MarshalToSizedBufferVT(b[len(b)-n:]); err != nil {
		panic(fmt.Sprintf("wire: marshal %T: %v", m, err))
	}
	return b
}

// parseMessage reads m from b, to which its bytes and strings then point.
func parseMessage(b []byte, m message, what string) error {
	if err := m.UnmarshalVTUnsafe(b); err != nil {
		return malformed(what, err)
	}
	return nil
}

func malformed(what string, err error) error {
	return fmt.Errorf("%s: %w: %w", what, ErrMalformed, err)
}

// The parsers of requests copy what they keep, except the record of a write;
// those of replies alias their input.

// AppendWriteRequest appends the encoding of r.
func AppendWriteRequest(b []byte, r *store.WriteRequest) []byte {
	var m pb.WriteRequest
	fillWriteRequest(&m, r)
	return appendMessage(b, &m)
}

func fillWriteRequest(m *pb.WriteRequest, r *store.WriteRequest) {
	m.Incarnation, m.Push, m.Repair, m.Record = r.Incarnation, encodeConfig(r.Push), r.Repair, r.Record
}

// ParseWriteRequest reads a WriteRequest, whose record aliases b.
func ParseWriteRequest(b []byte) (store.WriteRequest, error) {
	var m pb.WriteRequest
	if err := parseMessage(b, &m, "write request"); err != nil {
		return store.WriteRequest{}, err
	}
	return readWriteRequest(&m)
}

func readWriteRequest(m *pb.WriteRequest) (store.WriteRequest, error) {
	t, err := parseTarget(m.Incarnation, m.Push)
	return store.WriteRequest{Target: t, Repair: m.Repair, Record: m.Record}, err
}

// AppendWriteReply appends the encoding of r.
func AppendWriteReply(b []byte, r *store.WriteReply) []byte {
	var m pb.WriteReply
	fillWriteReply(&m, r)
	return appendMessage(b, &m)
}

func fillWriteReply(m *pb.WriteReply, r *store.WriteReply) {
	m.Status, m.Synced, m.Version, m.Config = uint32(r.Status), r.Synced, encodeVersion(r.Version), encodeConfig(r.Config)
}

// ParseWriteReply reads a WriteReply.
func ParseWriteReply(b []byte) (store.WriteReply, error) {
	var m pb.WriteReply
	if err := parseMessage(b, &m, "write reply"); err != nil {
		return store.WriteReply{}, err
	}
	return readWriteReply(&m)
}

func readWriteReply(m *pb.WriteReply) (store.WriteReply, error) {
	status, c, err := parseStatus(m.Status, m.Config)
	return store.WriteReply{Status: status, Synced: m.Synced, Version: decodeVersion(m.Version), Config: c}, err
}

// AppendReadRequest appends the encoding of r.
func AppendReadRequest(b []byte, r *store.ReadRequest) []byte {
	return appendMessage(b, &pb.ReadRequest{
		Incarnation: r.Incarnation, Push: encodeConfig(r.Push), Brief: r.Brief, Namespace: r.Namespace, Key: r.Key,
	})
}

// ParseReadRequest reads a ReadRequest, whose key names one.
func ParseReadRequest(b []byte) (store.ReadRequest, error) {
	var m pb.ReadRequest
	if err := m.UnmarshalVT(b); err != nil {
		return store.ReadRequest{}, malformed("read request", err)
	}
	if err := store.CheckKey(m.Namespace, m.Key); err != nil {
		return store.ReadRequest{}, malformed("read request", err)
	}
	t, err := parseTarget(m.Incarnation, m.Push)
	return store.ReadRequest{Target: t, Brief: m.Brief, Namespace: m.Namespace, Key: m.Key}, err
}

// AppendReadReply appends the encoding of r.
func AppendReadReply(b []byte, r *store.ReadReply) []byte {
	return appendMessage(b, &pb.ReadReply{
		Status: uint32(r.Status), Version: encodeVersion(r.Version), Record: r.Record, Config: encodeConfig(r.Config),
	})
}

// ParseReadReply reads a ReadReply, whose record aliases b.
func ParseReadReply(b []byte) (store.ReadReply, error) {
	var m pb.ReadReply
	if err := parseMessage(b, &m, "read reply"); err != nil {
		return store.ReadReply{}, err
	}
	status, c, err := parseStatus(m.Status, m.Config)
	return store.ReadReply{Status: status, Version: decodeVersion(m.Version), Record: m.Record, Config: c}, err
}

// AppendScanRequest appends the encoding of r.
func AppendScanRequest(b []byte, r *store.ScanRequest) []byte {
	return appendMessage(b, &pb.ScanRequest{
		Incarnation: r.Incarnation, Push: encodeConfig(r.Push), Prefix: r.Prefix, After: r.After, Limit: uint32(r.Limit),
	})
}

// ParseScanRequest reads a ScanRequest, whose limit is 1 to store.MaxPage.
func ParseScanRequest(b []byte) (store.ScanRequest, error) {
	var m pb.ScanRequest
	if err := m.UnmarshalVT(b); err != nil {
		return store.ScanRequest{}, malformed("scan request", err)
	}
	if m.Limit < 1 || m.Limit > store.MaxPage || len(m.Prefix) > store.MaxKey || len(m.After) > store.MaxKey {
		return store.ScanRequest{}, malformed("scan request", errors.New("a bound is exceeded"))
	}
	t, err := parseTarget(m.Incarnation, m.Push)
	return store.ScanRequest{Target: t, Prefix: m.Prefix, After: m.After, Limit: int(m.Limit)}, err
}

// AppendScanReply appends the encoding of r.
func AppendScanReply(b []byte, r *store.ScanReply) []byte {
	return appendMessage(b, &pb.Page{
		Status: uint32(r.Status), Entries: encodeEntries(r.Entries), More: r.More, Config: encodeConfig(r.Config),
	})
}

// ParseScanReply reads a ScanReply.
func ParseScanReply(b []byte) (store.ScanReply, error) {
	var m pb.Page
	if err := parseMessage(b, &m, "scan reply"); err != nil {
		return store.ScanReply{}, err
	}
	status, c, err := parseStatus(m.Status, m.Config)
	return store.ScanReply{Status: status, Entries: decodeEntries(m.Entries), More: m.More, Config: c}, err
}

// AppendSyncRequest appends the encoding of r.
func AppendSyncRequest(b []byte, r *store.SyncRequest) []byte {
	return appendMessage(b, &pb.SyncRequest{
		Incarnation: r.Incarnation, Push: encodeConfig(r.Push), After: r.After, Limit: uint32(r.Limit), Paths: r.Paths,
	})
}

// ParseSyncRequest reads a SyncRequest.
func ParseSyncRequest(b []byte) (store.SyncRequest, error) {
	var m pb.SyncRequest
	if err := m.UnmarshalVT(b); err != nil {
		return store.SyncRequest{}, malformed("sync request", err)
	}
	if m.Limit > store.MaxPageBytes || len(m.After) > store.MaxKey || len(m.Paths) > store.MaxPaths {
		return store.SyncRequest{}, malformed("sync request", errors.New("a bound is exceeded"))
	}
	t, err := parseTarget(m.Incarnation, m.Push)
	return store.SyncRequest{Target: t, After: m.After, Paths: m.Paths, Limit: int(m.Limit)}, err
}

// AppendSyncReply appends the encoding of r.
func AppendSyncReply(b []byte, r *store.SyncReply) []byte {
	return appendMessage(b, &pb.Page{
		Status: uint32(r.Status), Entries: encodeEntries(r.Entries), More: r.More,
		Config: encodeConfig(r.Config), Fingerprint: encodeFingerprint(r.Fingerprint),
	})
}

// ParseSyncReply reads a SyncReply.
func ParseSyncReply(b []byte) (store.SyncReply, error) {
	var m pb.Page
	if err := parseMessage(b, &m, "sync reply"); err != nil {
		return store.SyncReply{}, err
	}
	fp, err := decodeFingerprint(m.Fingerprint)
	if err != nil {
		return store.SyncReply{}, malformed("sync reply", err)
	}
	status, c, err := parseStatus(m.Status, m.Config)
	return store.SyncReply{Status: status, Fingerprint: fp, Entries: decodeEntries(m.Entries), More: m.More, Config: c}, err
}

// AppendFetchRequest appends the encoding of r.
func AppendFetchRequest(b []byte, r *store.FetchRequest) []byte {
	return appendMessage(b, &pb.FetchRequest{Incarnation: r.Incarnation, Push: encodeConfig(r.Push), Keys: r.Keys})
}

// ParseFetchRequest reads a FetchRequest of up to store.MaxPage keys.
func ParseFetchRequest(b []byte) (store.FetchRequest, error) {
	var m pb.FetchRequest
	if err := m.UnmarshalVT(b); err != nil {
		return store.FetchRequest{}, malformed("fetch request", err)
	}
	if len(m.Keys) > store.MaxPage {
		return store.FetchRequest{}, malformed("fetch request", fmt.Errorf("%d keys", len(m.Keys)))
	}
	for _, key := range m.Keys {
		if err := store.CheckKey(store.SplitKey(key)); err != nil {
			return store.FetchRequest{}, malformed("fetch request", err)
		}
	}
	t, err := parseTarget(m.Incarnation, m.Push)
	return store.FetchRequest{Target: t, Keys: m.Keys}, err
}

// AppendFetchReply appends the encoding of r.
func AppendFetchReply(b []byte, r *store.FetchReply) []byte {
	return appendMessage(b, &pb.FetchReply{
		Status: uint32(r.Status), Records: r.Records, Done: uint32(r.Done), Config: encodeConfig(r.Config),
	})
}

// ParseFetchReply reads a FetchReply, whose records alias b.
func ParseFetchReply(b []byte) (store.FetchReply, error) {
	var m pb.FetchReply
	if err := parseMessage(b, &m, "fetch reply"); err != nil {
		return store.FetchReply{}, err
	}
	if m.Done > store.MaxPage {
		return store.FetchReply{}, malformed("fetch reply", fmt.Errorf("%d keys", m.Done))
	}
	status, c, err := parseStatus(m.Status, m.Config)
	return store.FetchReply{Status: status, Records: m.Records, Done: int(m.Done), Config: c}, err
}

// AppendProposal appends the encoding of p.
func AppendProposal(b []byte, p *store.Proposal) []byte {
	return appendMessage(b, &pb.Proposal{Base: encodeConfig(p.Base), Ballot: encodeBallot(p.Ballot), Value: encodeConfig(p.Value)})
}

// ParseProposal reads a Proposal.
func ParseProposal(b []byte) (p store.Proposal, err error) {
	var m pb.Proposal
	if err := parseMessage(b, &m, "proposal"); err != nil {
		return p, err
	}
	p.Ballot = decodeBallot(m.Ballot)
	if p.Base, err = decodeConfig(m.Base); err == nil {
		p.Value, err = decodeConfig(m.Value)
	}
	if err != nil {
		return store.Proposal{}, malformed("proposal", err)
	}
	return p, nil
}

// AppendVote appends the encoding of v.
func AppendVote(b []byte, v *store.Vote) []byte {
	return appendMessage(b, &pb.Vote{
		Status: uint32(v.Status), Promised: encodeBallot(v.Promised), Accepted: encodeBallot(v.Accepted),
		Value: encodeConfig(v.Value), Config: encodeConfig(v.Config),
	})
}

// ParseVote reads a Vote.
func ParseVote(b []byte) (v store.Vote, err error) {
	var m pb.Vote
	if err := parseMessage(b, &m, "vote"); err != nil {
		return v, err
	}
	v.Promised, v.Accepted = decodeBallot(m.Promised), decodeBallot(m.Accepted)
	if v.Value, err = decodeConfig(m.Value); err != nil {
		return store.Vote{}, malformed("vote", err)
	}
	v.Status, v.Config, err = parseStatus(m.Status, m.Config)
	return v, err
}

// AppendShardInfos appends the encoding of infos.
func AppendShardInfos(b []byte, infos []store.ShardInfo) []byte {
	m := &pb.ShardInfos{Infos: make([]*pb.ShardInfo, len(infos))}
	for i, info := range infos {
		m.Infos[i] = &pb.ShardInfo{
			Shard: uint32(info.Shard), Config: encodeConfig(info.Config), Fingerprint: encodeFingerprint(info.Fingerprint),
			Epoch: info.Epoch,
		}
		for _, v := range info.Synced {
			m.Infos[i].Synced = append(m.Infos[i].Synced, &pb.Voter{Peer: []byte(v.Peer), Incarnation: v.Incarnation})
		}
	}
	return appendMessage(b, m)
}

// ParseShardInfos reads up to store.MaxInfos infos.
func ParseShardInfos(b []byte) ([]store.ShardInfo, error) {
	var m pb.ShardInfos
	if err := m.UnmarshalVT(b); err != nil {
		return nil, malformed("shard infos", err)
	}
	if len(m.Infos) > store.MaxInfos {
		return nil, malformed("shard infos", fmt.Errorf("%d shards", len(m.Infos)))
	}
	infos := make([]store.ShardInfo, len(m.Infos))
	for i, info := range m.Infos {
		var err error
		if infos[i], err = parseShardInfo(info); err != nil {
			return nil, malformed("shard infos", err)
		}
	}
	return infos, nil
}

func parseShardInfo(m *pb.ShardInfo) (info store.ShardInfo, err error) {
	if m.Shard >= store.MaxShards {
		return info, fmt.Errorf("shard %d", m.Shard)
	}
	if len(m.Synced) > store.MaxVoters {
		return info, fmt.Errorf("%d sources", len(m.Synced))
	}
	info.Shard, info.Epoch = store.ShardID(m.Shard), m.Epoch
	for _, v := range m.Synced {
		if len(v.Peer) > store.MaxPeerID {
			return info, fmt.Errorf("peer ID of %d bytes", len(v.Peer))
		}
		info.Synced = append(info.Synced, store.Voter{Peer: chord.PeerID(v.Peer), Incarnation: v.Incarnation})
	}
	if info.Fingerprint, err = decodeFingerprint(m.Fingerprint); err != nil {
		return info, err
	}
	info.Config, err = decodeConfig(m.Config)
	return info, err
}

func parseTarget(incarnation uint64, push []byte) (store.Target, error) {
	c, err := decodeConfig(push)
	if err != nil {
		return store.Target{}, malformed("pushed configuration", err)
	}
	return store.Target{Incarnation: incarnation, Push: c}, nil
}

func parseStatus(status uint32, config []byte) (store.Status, store.Config, error) {
	s := store.Status(status)
	if status > 255 || !s.Valid() {
		return 0, store.Config{}, malformed("reply", fmt.Errorf("status %d", status))
	}
	c, err := decodeConfig(config)
	if err != nil {
		return 0, store.Config{}, malformed("reply", err)
	}
	return s, c, nil
}

// encodeConfig returns nothing for no configuration.
func encodeConfig(c store.Config) []byte {
	if c.Epoch == 0 {
		return nil
	}
	return c.AppendTo(nil)
}

func decodeConfig(b []byte) (store.Config, error) {
	if len(b) == 0 {
		return store.Config{}, nil
	}
	return store.DecodeConfig(b)
}

func encodeVersion(v store.Version) *pb.Version {
	if v.IsZero() {
		return nil
	}
	return &pb.Version{Clock: v.Clock, Writer: v.Writer}
}

func decodeVersion(m *pb.Version) store.Version {
	if m == nil {
		return store.Version{}
	}
	return store.Version{Clock: m.Clock, Writer: m.Writer}
}

func encodeBallot(b store.Ballot) *pb.Ballot {
	if b.IsZero() {
		return nil
	}
	return &pb.Ballot{Counter: b.Counter, Proposer: b.Proposer}
}

func decodeBallot(m *pb.Ballot) store.Ballot {
	if m == nil {
		return store.Ballot{}
	}
	return store.Ballot{Counter: m.Counter, Proposer: m.Proposer}
}

func encodeEntries(entries []store.Entry) []*pb.Entry {
	list := make([]*pb.Entry, len(entries))
	for i, e := range entries {
		list[i] = &pb.Entry{Key: e.Key, Version: encodeVersion(e.Version), Expires: e.Expires, Deleted: e.Deleted}
	}
	return list
}

func decodeEntries(list []*pb.Entry) []store.Entry {
	entries := make([]store.Entry, len(list))
	for i, m := range list {
		entries[i] = store.Entry{Key: m.Key, Version: decodeVersion(m.Version), Expires: m.Expires, Deleted: m.Deleted}
	}
	return entries
}

// fingerprintSize is that of an encoded fingerprint: sum and count, big-endian.
const fingerprintSize = 24

func encodeFingerprint(f store.Fingerprint) []byte {
	if f == (store.Fingerprint{}) {
		return nil
	}
	b := make([]byte, 0, fingerprintSize)
	b = binary.BigEndian.AppendUint64(b, f.Hi)
	b = binary.BigEndian.AppendUint64(b, f.Lo)
	return binary.BigEndian.AppendUint64(b, f.Count)
}

func decodeFingerprint(b []byte) (store.Fingerprint, error) {
	switch len(b) {
	case 0:
		return store.Fingerprint{}, nil
	case fingerprintSize:
		return store.Fingerprint{
			Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:]), Count: binary.BigEndian.Uint64(b[16:]),
		}, nil
	}
	return store.Fingerprint{}, fmt.Errorf("fingerprint of %d bytes", len(b))
}
