// AWS SDK for Go v2, the default chain.
package main

import (
	"context"
	"time"

	"imds-emulator.test/clients/answers"

	"github.com/aws/aws-sdk-go-v2/config"
)

func main() {
	settings, err := config.LoadDefaultConfig(context.Background())
	answers.Answer(func() (string, time.Time, error) {
		if err != nil {
			return "", time.Time{}, err
		}
		value, err := settings.Credentials.Retrieve(context.Background())
		return value.AccessKeyID, value.Expires, err
	})
}
