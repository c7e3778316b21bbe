// Package answers gives the same answers as ../../answers.py.
package answers

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"
)

// Answer reads lines to their end. No expiry is the zero time.
func Answer(read func() (string, time.Time, error)) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		key, expiry, err := read()
		switch {
		case err != nil:
			fmt.Println("none", strings.Join(strings.Fields(err.Error()), " "))
		case expiry.IsZero():
			fmt.Println(key, "-")
		default:
			fmt.Println(key, expiry.Unix())
		}
	}
}
