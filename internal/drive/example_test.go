package drive_test

import (
	"context"
	"fmt"
	"time"

	"github.com/chorus-net/chorus/internal/drive"
)

func Example() {
	loop := drive.New(&counter{}, func(total int) { fmt.Println("total", total) }, drive.Config{})
	defer loop.Close()

	_ = loop.Post(2)
	_ = loop.Post(3)
	_ = loop.Act(context.Background(), func(c *counter, _ time.Time) int {
		c.n *= 10
		return c.n
	})
	// Output:
	// total 2
	// total 5
	// total 50
}
