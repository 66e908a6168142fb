package store

import (
	"encoding/binary"
	"fmt"

	"github.com/chorus-net/chorus/chord"
)

// An encoded configuration: format byte, epoch (8 bytes, big-endian), then
// Voters and Next: a count byte, and for each voter the length of the peer ID
// in a byte, the peer ID, the incarnation (8 bytes). Format 1 ends there, and is
// written where there is no horizon. In format 2 the horizon and the epoch that
// raised it follow (8 bytes each).
const (
	configFormat  = 1
	configHorizon = 2
)

// AppendTo appends the encoding of c to b. The zero Config has an encoding.
func (c Config) AppendTo(b []byte) []byte {
	format := byte(configFormat)
	if c.Horizon > 0 {
		format = configHorizon
	}
	b = append(b, format)
	b = binary.BigEndian.AppendUint64(b, c.Epoch)
	b = appendVoters(b, c.Voters)
	b = appendVoters(b, c.Next)
	if format == configHorizon {
		b = binary.BigEndian.AppendUint64(b, c.Horizon)
		b = binary.BigEndian.AppendUint64(b, c.Raised)
	}
	return b
}

func appendVoters(b []byte, set []Voter) []byte {
	b = append(b, byte(len(set)))
	for _, v := range set {
		b = append(b, byte(len(v.Peer)))
		b = append(b, v.Peer...)
		b = binary.BigEndian.AppendUint64(b, v.Incarnation)
	}
	return b
}

// DecodeConfig reads exactly one configuration, which is the zero Config or
// passes Check. Nothing in it aliases b.
func DecodeConfig(b []byte) (Config, error) {
	c, rest, err := cutConfig(b)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("configuration: %d bytes too many: %w", len(rest), ErrCorrupt)
	}
	if err != nil {
		return Config{}, err
	}
	return c, nil
}

// cutConfig reads a configuration from the front of b.
func cutConfig(b []byte) (c Config, rest []byte, err error) {
	if len(b) < 9 || b[0] != configFormat && b[0] != configHorizon {
		return Config{}, nil, fmt.Errorf("configuration format: %w", ErrCorrupt)
	}
	format := b[0]
	c.Epoch = binary.BigEndian.Uint64(b[1:])
	b = b[9:]
	for _, set := range [2]*[]Voter{&c.Voters, &c.Next} {
		if *set, b, err = cutVoters(b); err != nil {
			return Config{}, nil, err
		}
	}
	if format == configHorizon {
		if len(b) < 16 || binary.BigEndian.Uint64(b) == 0 {
			return Config{}, nil, fmt.Errorf("configuration horizon: %w", ErrCorrupt)
		}
		c.Horizon, c.Raised = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
		b = b[16:]
	}
	if c.Epoch == 0 && len(c.Voters) == 0 && len(c.Next) == 0 && format == configFormat {
		return Config{}, b, nil
	}
	if err := c.Check(); err != nil {
		return Config{}, nil, fmt.Errorf("configuration: %w: %w", err, ErrCorrupt)
	}
	return c, b, nil
}

func cutVoters(b []byte) ([]Voter, []byte, error) {
	if len(b) < 1 || b[0] > MaxVoters {
		return nil, nil, fmt.Errorf("configuration voters: %w", ErrCorrupt)
	}
	n := int(b[0])
	b = b[1:]
	if n == 0 {
		return nil, b, nil
	}
	set := make([]Voter, n)
	for i := range set {
		if len(b) < 1 || len(b) < 1+int(b[0])+8 {
			return nil, nil, fmt.Errorf("configuration voter %d: %w", i, ErrCorrupt)
		}
		end := 1 + int(b[0])
		set[i] = Voter{Peer: chord.PeerID(b[1:end]), Incarnation: binary.BigEndian.Uint64(b[end:])}
		b = b[end+8:]
	}
	return set, b, nil
}
