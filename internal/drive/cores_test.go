package drive_test

import (
	"github.com/chorus-net/chorus/chord"
	"github.com/chorus-net/chorus/internal/drive"
)

// The ring core can be driven as it is.
var _ drive.Core[chord.Message, chord.Output] = (*chord.Ring)(nil)
