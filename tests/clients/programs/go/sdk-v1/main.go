// AWS SDK for Go v1, the default chain of a session.
package main

import (
	"time"

	"imds-emulator.test/clients/answers"

	"github.com/aws/aws-sdk-go/aws/session"
)

func main() {
	credentials := session.Must(session.NewSession()).Config.Credentials
	answers.Answer(func() (string, time.Time, error) {
		value, err := credentials.Get()
		// Of the chain's provider the SDK does not tell the expiry.
		return value.AccessKeyID, time.Time{}, err
	})
}
