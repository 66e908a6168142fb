package wire

import (
	"errors"

	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire/pb"
	"github.com/chorus-net/chorus/store"
)

// MaxWrites bounds the writes of one call.
const MaxWrites = 1024

// Write is one of several writes that travel together: a request, with the
// shard and the epoch that the envelope of a lone one carries.
type Write struct {
	Shard   store.ShardID
	Epoch   uint64
	Request store.WriteRequest
}

// WriteResult is what became of a Write: a reply, or why there is none.
type WriteResult struct {
	Reply store.WriteReply
	Err   error
}

// AppendWrites appends the encoding of writes.
func AppendWrites(b []byte, writes []Write) []byte {
	parts := make([]struct {
		item    pb.WriteItem
		request pb.WriteRequest
	}, len(writes))
	m := pb.Writes{Items: make([]*pb.WriteItem, len(writes))}
	for i := range writes {
		w, p := &writes[i], &parts[i]
		fillWriteRequest(&p.request, &w.Request)
		p.item.Shard, p.item.Epoch, p.item.Request = uint32(w.Shard), w.Epoch, &p.request
		m.Items[i] = &p.item
	}
	return appendMessage(b, &m)
}

// ParseWrites reads writes, whose records alias b.
func ParseWrites(b []byte) ([]Write, error) {
	var m pb.Writes
	if err := parseMessage(b, &m, "writes"); err != nil {
		return nil, err
	}
	if len(m.Items) > MaxWrites {
		return nil, malformed("writes", errors.New("too many"))
	}
	writes := make([]Write, len(m.Items))
	for i, item := range m.Items {
		if item.Shard >= store.MaxShards || item.Request == nil {
			return nil, malformed("writes", errors.New("no such shard, or no request"))
		}
		r, err := readWriteRequest(item.Request)
		if err != nil {
			return nil, err
		}
		writes[i] = Write{Shard: store.ShardID(item.Shard), Epoch: item.Epoch, Request: r}
	}
	return writes, nil
}

// AppendWriteResults appends the encoding of results.
func AppendWriteResults(b []byte, results []WriteResult) []byte {
	parts := make([]struct {
		result pb.WriteResult
		reply  pb.WriteReply
	}, len(results))
	m := pb.WriteResults{Results: make([]*pb.WriteResult, len(results))}
	for i := range results {
		r, p := &results[i], &parts[i]
		if r.Err != nil {
			e := rpc.Travelling(r.Err)
			p.result.Failure = &pb.Failure{Code: e.Code, Message: e.Message, Detail: e.Detail}
		} else {
			fillWriteReply(&p.reply, &r.Reply)
			p.result.Reply = &p.reply
		}
		m.Results[i] = &p.result
	}
	return appendMessage(b, &m)
}

// ParseWriteResults reads the results of writes; how many there must be is the
// caller's to check.
func ParseWriteResults(b []byte) ([]WriteResult, error) {
	var m pb.WriteResults
	if err := parseMessage(b, &m, "write results"); err != nil {
		return nil, err
	}
	if len(m.Results) > MaxWrites {
		return nil, malformed("write results", errors.New("too many"))
	}
	results := make([]WriteResult, len(m.Results))
	for i, r := range m.Results {
		switch {
		case r.Failure != nil:
			results[i].Err = &rpc.Error{Code: r.Failure.Code, Message: r.Failure.Message, Detail: r.Failure.Detail}
		case r.Reply == nil:
			return nil, malformed("write results", errors.New("neither a reply nor a failure"))
		default:
			var err error
			if results[i].Reply, err = readWriteReply(r.Reply); err != nil {
				return nil, err
			}
		}
	}
	return results, nil
}
