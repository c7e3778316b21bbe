// minio-go's IAM provider.
package main

import (
	"time"

	"imds-emulator.test/clients/answers"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

func main() {
	iam := credentials.NewIAM("")
	answers.Answer(func() (string, time.Time, error) {
		value, err := iam.Get()
		return value.AccessKeyID, time.Time{}, err
	})
}
